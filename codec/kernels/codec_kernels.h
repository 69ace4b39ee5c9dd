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

constexpr int kLogitLimit = 2815;  // logits are in steps of 1/256: 11 nats, a probability of about 1/65536

// The sizes of a prediction: StateMaps that take part in it, and nodes of slots; the inputs of the mixer, padded to
// whole vectors of every instruction set; the weight sets.
constexpr int kStateMaps = 16, kNodes = 5, kUsedInputs = 2 * kStateMaps + kNodes + 1, kInputs = 64, kSets = 7;

// Fraction bits of the mixer's weights.
constexpr int kWeightBits = 14, kWeightOne = 1 << kWeightBits;

// The mixer, as in PAQ and lpaq: the logits of the inputs are added with the weights of each selected weight set, and
// the outputs of the sets with the final weights. Sums of the sets wrap around, so the order of the additions does not
// matter.
struct Mixer {
  alignas(64) int16_t inputs[kInputs];           // logits; zeros from kUsedInputs on
  alignas(32) int32_t outputs[kSets + 1];        // of the weight sets, logits; the last is 0
  alignas(32) int32_t probabilities[kSets + 1];  // of these outputs, 16 bits
  int16_t *weights[kSets];                       // (kInputs) each; 1.0 is 2^14
  int32_t *final_weights;                        // (kSets + 1); 1.0 is 2^16
};

// Adaptive probabilities of a prediction, see StateMap in mixing/state_maps.h and Node in mixing/memory.h.
struct Probabilities {
  alignas(64) uint32_t maps[kStateMaps];
  alignas(64) uint32_t nodes[16];  // p | count << 16; kNodes are used, padded to whole vectors
};

// The corrector: a feed-forward network with one hidden layer, see mixing/corrector.h. Its inputs are numbers, and
// categories, each of which adds the row of its value to the sums of the hidden units.
constexpr int kCorrectorInputs = 68, kCorrectorUnits = 32, kCategories = 4;
constexpr int kStageInputs = kCorrectorInputs - kUsedInputs;  // those that are not inputs of the mixer

struct CorrectorWeights {
  int16_t inputs[kCorrectorInputs / 2][kCorrectorUnits][2];  // inputs in pairs, as pair_products takes them
  int16_t output[kCorrectorUnits];
  int32_t output_bias;
};

// The functions of one instruction set.
struct CodecKernels {
  const char *name;
  NetworkFunctions network[4];  // indexed by CellKind
  // Sets the outputs of the weight sets, and returns that of the final weights, a logit.
  int (*mix)(Mixer &);
  // Trains the weights by the errors of the probabilities. target: the bit << 16. error: of the final output. rate: of
  // the weight sets; each step is rate / 2^10 of the error.
  void (*train)(Mixer &, int target, int error, int rate);
  // Updates the probabilities with a bit.
  void (*adapt)(const Probabilities &before, int bit, Probabilities &after);
  // Returns the output of the corrector, a logit with 23 fraction bits. inputs: of the mixer. stages: (kStageInputs).
  // rows: of each category, the row of its value, (kCorrectorUnits). Sums wrap around. A hidden unit is (sum >> 11),
  // within 0 to 32767.
  int32_t (*correct)(const CorrectorWeights &, const int16_t *inputs, const int16_t *stages,
                     const int32_t *const *rows);
};

}  // namespace charloom
