// The entry points of what the codec computes for each instruction set: the integer network, from the token just read
// to the frequencies of the next one, and the mixing of logits. What the numbers mean is written in
// src/charloom/codec/reference, which every variant equals bit for bit. Nothing here knows Python, PyTorch or files.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../cell_kinds.h"

namespace charloom {

constexpr int kFrequencyBits = 22;  // the frequencies of a lane sum to 2^22, and none is zero

// A product p of a row counts as ((p >> first_shift) * multiplier) >> second_shift. Whoever makes one of these answers
// for the bounds of model/bounds.py: with them nothing below leaves 32 bits.
struct IntegerMatrix {
  const int8_t *weights;       // (rows, hidden)
  const int16_t *multipliers;  // (rows)
  int first_shift, second_shift;
};

struct IntegerLayer {
  IntegerMatrix hidden;           // (gates * hidden, hidden)
  IntegerMatrix input;            // the same; of all layers but the first
  const int32_t *bias;            // (gates * hidden); of all layers but the first
  const int32_t *candidate_bias;  // (hidden); GRU only
};

// An integer model as it is stored: needed while packing only.
struct IntegerWeights {
  CellKind cell;
  long hidden, layers, vocabulary, begin_token;
  const int16_t *token_table;  // (vocabulary, gates * hidden)
  const IntegerLayer *layer;   // [layers], 64 at most
  IntegerMatrix output;        // (vocabulary, hidden)
  const int32_t *output_bias;  // (vocabulary)
  const int16_t *tanh;         // (3, 32)
  const int16_t *exp2;         // (4)
};

// The network of one cell. All memory is the caller's and begins on a line of 64 bytes; pack and begin return the size
// that they need, and with null for it do nothing else.
//
// packed: made once, read by any number of threads. memory: what a stream (of `lanes` lanes) has read so far, and what
// a step writes on the way; its layout is the instruction set's own.
struct NetworkFunctions {
  size_t (*pack)(const IntegerWeights &, void *packed);
  // The state before a text, and the frequencies of its first token: begin_token is read from a zero state.
  size_t (*begin)(const void *packed, long lanes, void *memory, uint32_t *frequencies);
  // Reads a token for each lane. Where it is negative, the lane's state and frequencies stay as they are; the others
  // must be below the vocabulary's size. frequencies: (lanes, vocabulary).
  void (*step)(const void *packed, long lanes, const int32_t *tokens, void *memory, uint32_t *frequencies);
};

constexpr int kWeightBits = 14, kWeightOne = 1 << kWeightBits;

// The functions of one instruction set.
//
// Logits are mixed by sets of weights. x: int16 (inputs), logits. weights: int16 (inputs), the weight 1 is 2^14. Sums
// are of 32 bits and wrap around, so that any order gives the same.
struct CodecKernels {
  const char *name;
  NetworkFunctions network[4];  // by CellKind
  // sums[s] = x weights[s], for `sets` sets of `inputs` weights, a multiple of 32.
  void (*mix)(const int16_t *x, const int16_t *const *weights, int sets, int inputs, int32_t *sums);
  // weights[s] += x steps[s] / 2^15, rounded and saturating.
  void (*learn)(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps);
};

}  // namespace charloom
