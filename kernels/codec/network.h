// The integer network of the codec: from the token just read to the frequencies of the next one, the same integers on
// every instruction set. What the numbers mean is written in src/charloom/codec/reference/network.py, which every
// variant equals bit for bit. Nothing here knows Python, PyTorch or files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../cell_kinds.h"
#include "mixer.h"

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

// The functions of one instruction set. All memory is the caller's and begins on a line of 64 bytes.
//
// packed: made once, read by any number of threads. state: what a stream (of `lanes` lanes) has read so far; its layout
// is the instruction set's own. workspace: what a call writes on the way; one for each thread.
struct CodecNetwork {
  const char *name;
  size_t (*packed_size)(const IntegerWeights &);
  void (*pack)(const IntegerWeights &, void *packed);
  size_t (*state_size)(const void *packed, long lanes);
  size_t (*workspace_size)(const void *packed, long lanes);
  // The state before a text, and the frequencies of its first token: begin_token is read from a zero state.
  void (*begin)(const void *packed, long lanes, void *state, uint32_t *frequencies, void *workspace);
  // Reads a token for each lane. Where it is negative, the lane's state and frequencies stay as they are; the others
  // must be below the vocabulary's size. frequencies: (lanes, vocabulary).
  void (*step)(const void *packed, long lanes, const int32_t *tokens, void *state, uint32_t *frequencies,
               void *workspace);
  Mixer mixer;
};

// Those that this processor can run, the plain one first, the best last.
std::vector<const CodecNetwork *> supported_networks();

}  // namespace charloom
