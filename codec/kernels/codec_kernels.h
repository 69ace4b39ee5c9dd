// The entry points of the codec's kernels, one table for each instruction set: the integer network, from the tokens
// just read to the frequencies of the next ones, and the mixer. charloom_codec/reference specifies what they
// compute; every instruction set equals it bit for bit. Nothing here depends on Python, PyTorch or files.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cell_kinds.h"

namespace charloom {

constexpr int kFrequencyBits = 22;  // the frequencies of a lane sum to 2^22, and none is zero

// The product p of a row is rescaled to ((p >> first_shift) * multiplier) >> second_shift. The creator of a matrix
// guarantees the bounds of model/bounds.py; within them, no sum or product below exceeds 32 bits.
struct IntegerMatrix {
  const int8_t *weights;       // (rows, hidden)
  const int16_t *multipliers;  // (rows)
  int first_shift, second_shift;
};

struct IntegerLayer {
  IntegerMatrix hidden;           // (gates * hidden, hidden)
  IntegerMatrix input;            // of the same shape; all layers except the first
  const int32_t *bias;            // (gates * hidden); all layers except the first
  const int32_t *candidate_bias;  // (hidden); GRU only
};

// An integer model as it is stored; read by packing only.
struct IntegerWeights {
  CellKind cell;
  long hidden, layers, vocabulary, start_token;
  const int16_t *token_table;  // (vocabulary, gates * hidden)
  const IntegerLayer *layer;   // [layers], at most 64
  IntegerMatrix output;        // (vocabulary, hidden)
  const int32_t *output_bias;  // (vocabulary)
  const int16_t *tanh;         // (3, 32), see Tanh in integer_vectors.h
  const int16_t *exp2;         // (4), coefficients of a cubic, see frequencies.h
};

// The network with one kind of cell. All memory belongs to the caller and starts on a cache line. `pack` and `start`
// return the size that they need; if the pointer to that memory is null, they do nothing else.
//
// packed: written once, then read by any number of threads. memory: the state of a stream of `lanes` lanes, and the
// scratch of a step; its layout depends on the instruction set.
struct NetworkFunctions {
  size_t (*pack)(const IntegerWeights &, void *packed);
  // Sets the state before a text, and the frequencies of its first token: start_token is read from a zero state.
  size_t (*start)(const void *packed, long lanes, void *memory, uint32_t *frequencies);
  // Reads one token in each lane. If the token is negative, the lane's state and frequencies stay as they are; the
  // caller guarantees that the others are below the vocabulary size. frequencies: (lanes, vocabulary).
  void (*step)(const void *packed, long lanes, const int32_t *tokens, void *memory, uint32_t *frequencies);
};

// Fraction bits of the mixer's weights.
constexpr int kWeightBits = 14, kWeightOne = 1 << kWeightBits;

// The corrector: a feed-forward network with one hidden layer, see mixing/corrector.h. Its inputs are numbers, and
// categories, each of which adds the row of its value to the sums of the hidden units.
constexpr int kCorrectorInputs = 68, kCorrectorUnits = 32, kCategories = 4;

struct CorrectorWeights {
  int16_t inputs[kCorrectorInputs / 2][kCorrectorUnits][2];  // inputs in pairs, as pair_products takes them
  int16_t output[kCorrectorUnits];
  int32_t output_bias;
};

// The functions of one instruction set.
//
// The mixer, as in PAQ and lpaq: the logits of the inputs are added with the weights of each selected weight set. x:
// int16 (inputs), logits. weights: int16 (inputs), 1.0 is 2^14. Sums have 32 bits and wrap around, so the order of the
// additions does not matter.
struct CodecKernels {
  const char *name;
  NetworkFunctions network[4];  // indexed by CellKind
  // sums[s] = x weights[s], for `sets` weight sets of `inputs` weights, a multiple of 32.
  void (*mix)(const int16_t *x, const int16_t *const *weights, int sets, int inputs, int32_t *sums);
  // weights[s] += x steps[s] / 2^15, rounded and saturated.
  void (*train)(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps);
  // Returns the output of the corrector, a logit with 23 fraction bits. x: (kCorrectorInputs). rows: of each category,
  // the row of its value, (kCorrectorUnits). Sums wrap around. A hidden unit is (sum >> 11), within 0 to 32767.
  int32_t (*correct)(const CorrectorWeights &, const int16_t *x, const int32_t *const *rows);
};

}  // namespace charloom
