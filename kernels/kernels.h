// The entry points of the kernels: plain structs of pointers, each with its shape, and a table of functions for each
// instruction set. Nothing here knows Python, PyTorch, files or vocabularies.
//
// All arrays are dense and row-major, laid out as torch.nn lays out its own. Time comes first: row t * batch + b.
// Inside a call the hidden size is rounded up to kPadding, so that no loop over units has a remainder; units of the
// padding are zero.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cell_kinds.h"
#include "language_model/sampling.h"

namespace charloom {

enum class Precision : int { float32 = 0, bfloat16 = 1 };

constexpr long kPadding = 32;
constexpr long kMaxLayers = 64;  // of a model in one call: a step, generation
constexpr long padded(long size) { return (size + kPadding - 1) / kPadding * kPadding; }

// The parameters of one layer in one direction, as torch.nn lays them out: gates stacked along the rows.
struct LayerWeights {
  const float *input;        // (gates * hidden, inputs)
  const float *hidden;       // (gates * hidden, hidden)
  const float *input_bias;   // (gates * hidden), or null
  const float *hidden_bias;  // (gates * hidden), or null
};

struct LayerGradients {  // as LayerWeights; biases null where there are none
  float *input, *hidden, *input_bias, *hidden_bias;
};

struct LayerSizes {  // LayerShape of src/charloom/recurrence/kernel_arguments.py
  CellKind cell;
  Precision precision;
  long steps, batch, inputs, hidden;
};

struct ModelSizes {  // ModelShape of the same file
  CellKind cell;
  long hidden, layers, vocabulary;
  long embedding_size;  // 0: one-hot input

  long inputs() const { return embedding_size ? embedding_size : vocabulary; }  // of the first layer
};

// One layer in one direction over all steps.
struct LayerCall : LayerSizes {
  bool backward_in_time;
  int threads;
  double *lost;  // out: the most seconds that one of the threads did not run
  LayerWeights weights;
  const float *x;                  // (steps, batch, inputs)
  const float *first_hidden;       // (batch, hidden)
  const float *first_cell;         // (batch, hidden); LSTM only
  float *y;                        // (steps, batch, hidden); the backward pass does not read it
  float *last_hidden, *last_cell;  // (batch, hidden)
  void *reserve;  // reserve_bytes(...), kept from forward to backward, which overwrites it; null: nothing is kept
  // Backward only:
  const float *dy;                           // (steps, batch, hidden)
  const float *d_last_hidden, *d_last_cell;  // (batch, hidden)
  float *dx;                                 // (steps, batch, inputs), or null
  float *d_first_hidden, *d_first_cell;      // (batch, hidden)
  LayerGradients gradients;
};

// Loss and all gradients of tokens -> recurrent layers -> logits -> mean cross-entropy, in one call.
struct LanguageModelCall : ModelSizes {
  Precision precision;
  long steps, batch;
  int threads;
  double *lost;                            // out: the most seconds that one of the threads did not run
  const int64_t *ids, *targets;            // (steps, batch); below the vocabulary
  const float *embedding;                  // (vocabulary, embedding_size)
  const LayerWeights *weights;             // [layers]
  const float *output, *output_bias;       // (vocabulary, hidden), (vocabulary)
  float dropout, layer_dropout;            // around the layers (embedding, output), and between them
  uint64_t seed;                           // of the dropout masks
  const float *first_hidden, *first_cell;  // (layers, batch, hidden)
  float *last_hidden, *last_cell;          // (layers, batch, hidden)
  float *loss;                             // mean nats
  float *d_embedding;
  const LayerGradients *gradients;  // [layers]
  float *d_output, *d_output_bias;
};

// A language model to generate from. Its weights are packed once, in float32 or int8.
struct GenerationModel : ModelSizes {
  bool int8;
  const float *embedding;             // (vocabulary, embedding_size), or null for one-hot input
  const LayerWeights *weights;        // [layers]; needed while packing only, as all pointers here
  const float *output, *output_bias;  // (vocabulary, hidden), (vocabulary)
};

struct GenerationRun {
  long samples, steps;
  Sampling sampling;
  const double *draws;               // (samples, steps), uniform in [0, 1)
  float *logits;                     // (samples, vocabulary): what the first tokens are chosen by; then the next
  float *first_hidden, *first_cell;  // (layers, samples, hidden): the state before; then after
  int64_t *ids;                      // (samples, steps), what was chosen
};

// Gradients clipped to a global norm, and one step of plain gradient descent with them.
struct DescentCall {
  float *const *gradients;  // [count], of these sizes; scaled down where their norm is above the limit
  float *const *values;     // [count], less rate times their gradients; null: clipping only
  const long *sizes;
  long count;
  double limit;  // infinite: no clipping
  double rate;
  int threads;
  double *lost;  // out: the most seconds that one of the threads did not run
};

// The functions of one instruction set. They return the size of the memory that comes last, and with null for it do
// nothing else.
struct Kernels {
  const char *name;
  size_t (*layer_forward)(const LayerCall &, void *workspace);
  size_t (*layer_backward)(const LayerCall &, void *workspace);
  size_t (*language_model_step)(const LanguageModelCall &, void *workspace);
  size_t (*pack_for_generation)(const GenerationModel &, void *packed);
  size_t (*generate)(const GenerationModel &, void *packed, const GenerationRun &, void *workspace);
  size_t (*descend)(const DescentCall &, void *workspace);
  size_t (*reserve_bytes)(const LayerCall &);
};

}  // namespace charloom
