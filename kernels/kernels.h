// The entry points of the kernels: plain structs of pointers, each with its shape, and one table of functions for each
// instruction set. The codec has its own entry points, in codec/codec_kernels.h. Nothing here depends on Python,
// PyTorch, files or vocabularies.
//
// All arrays are dense, row-major and laid out as torch.nn lays out its own. Time is the first dimension: row t * batch
// + b, or offsets[t] + b of a packed batch. Inside a call the hidden size is rounded up to kPadding, so that no loop
// over units has a remainder; the padding's units stay zero.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cell_kinds.h"
#include "language_model/sampling.h"

namespace charloom {

enum class Precision : int { float32 = 0, bfloat16 = 1, int8 = 2 };  // int8: inference only

constexpr long kPadding = 32;
constexpr long kMaxLayers = 64;  // of a model in one call: arrays for each layer have a fixed size
constexpr long padded(long size) { return (size + kPadding - 1) / kPadding * kPadding; }

// The parameters of one layer in one direction, as torch.nn lays them out: gates are stacked along the rows.
struct LayerWeights {
  const float *input;        // (gates * hidden, inputs)
  const float *hidden;       // (gates * hidden, hidden)
  const float *input_bias;   // (gates * hidden), or null
  const float *hidden_bias;  // (gates * hidden), or null
};

struct LayerGradients {  // as LayerWeights; biases are null if the layer has none
  float *input, *hidden, *input_bias, *hidden_bias;
};

struct LayerSizes {  // the same fields as LayerShape of src/charloom/recurrence/kernel_arguments.py
  CellKind cell;
  Precision precision;
  long steps, batch, inputs, hidden;
  long packed_rows = 0;  // rows of all steps of a packed batch; 0: padded

  long rows() const { return packed_rows ? packed_rows : steps * batch; }
};

struct ModelSizes {  // the same fields as ModelShape of that file
  CellKind cell;
  long hidden, layers, vocabulary;
  long embedding_size;  // 0: one-hot input

  long inputs() const { return embedding_size ? embedding_size : vocabulary; }  // input size of the first layer
};

// A forward or backward pass of one layer in one direction over all time steps.
struct LayerCall : LayerSizes {
  bool backward_in_time;
  int threads;
  double *off_cpu_seconds;  // out: the most seconds that one of the threads was not running
  LayerWeights weights;
  const void *packed;  // the weights packed by pack_layer, or null; inference only
  // A packed batch, as in torch.nn.utils.rnn.PackedSequence: step t has the rows b < batch_sizes[t], which are at
  // offsets[t] + b of arrays (rows, ...). Batch sizes are positive and descend from `batch`. Null if padded.
  const int64_t *batch_sizes, *offsets;  // (steps)
  // (steps, batch), or null: not 0 if no state passes between that step and the one before it in time. Not for packed
  // batches.
  const uint8_t *resets;
  const float *x;                  // (rows, inputs); rows = steps * batch if padded
  const float *first_hidden;       // (batch, hidden)
  const float *first_cell;         // (batch, hidden); LSTM only
  float *y;                        // (rows, hidden); not read by the backward pass
  long y_stride;                   // distance of its rows: more than hidden if two directions write side by side
  float *last_hidden, *last_cell;  // (batch, hidden)
  // As in cuDNN: reserve_bytes(...) bytes that the forward pass leaves for the backward pass, which overwrites them.
  // Null if no backward pass follows.
  void *reserve;
  // Backward pass only:
  const float *dy;                           // (rows, hidden)
  const float *d_last_hidden, *d_last_cell;  // (batch, hidden)
  float *dx;                                 // (rows, inputs), or null
  float *d_first_hidden, *d_first_cell;      // (batch, hidden)
  LayerGradients gradients;
};

// The loss and all gradients of a language model (tokens, recurrent layers, logits, mean cross-entropy) in one call.
struct LanguageModelCall : ModelSizes {
  Precision precision;
  long steps, batch;
  int threads;
  double *off_cpu_seconds;            // out: the most seconds that one of the threads was not running
  const int64_t *ids, *targets;       // (steps, batch); the caller has checked that all are below the vocabulary size
  const float *embedding;             // (vocabulary, embedding_size)
  const LayerWeights *weights;        // [layers]
  const float *output, *output_bias;  // (vocabulary, hidden), (vocabulary)
  float dropout, layer_dropout;       // after the embedding and before the output layer; between layers
  uint64_t seed;                      // of the dropout masks
  const float *first_hidden, *first_cell;  // (layers, batch, hidden)
  float *last_hidden, *last_cell;          // (layers, batch, hidden)
  float *loss;                             // mean, in nats
  float *d_embedding;
  const LayerGradients *gradients;  // [layers]
  float *d_output, *d_output_bias;
};

// The output layer of a language model without a backward pass.
struct LogitsCall {
  long rows, hidden, vocabulary;
  const float *weights, *bias;  // (vocabulary, hidden), (vocabulary)
  const float *x;               // (rows, hidden)
  float *y;                     // (rows, vocabulary)
  int threads;
  double *off_cpu_seconds;  // out: the most seconds that one of the threads was not running
};

// A language model to generate from. Its weights are packed once, in float32 or int8.
struct GenerationModel : ModelSizes {
  bool int8;
  const float *embedding;             // (vocabulary, embedding_size), or null for one-hot input
  const LayerWeights *weights;        // [layers]; like all pointers here, read by packing only
  const float *output, *output_bias;  // (vocabulary, hidden), (vocabulary)
};

// One call of generation: `steps` tokens for each of `samples` sequences.
struct GenerationRun {
  long samples, steps;
  Sampling sampling;
  const double *draws;               // (samples, steps), uniform in [0, 1)
  float *logits;                     // (samples, vocabulary); in: of the first token; out: of the token after the last
  float *first_hidden, *first_cell;  // (layers, samples, hidden); in: the initial state; out: the final state
  int64_t *ids;                      // out: (samples, steps), the sampled tokens
};

// Gradients clipped to a global norm, then one step of plain gradient descent with them.
struct DescentCall {
  float *const *gradients;  // [count]; scaled in place if their global norm exceeds max_norm
  float *const *values;     // [count], updated in place; null: the gradients are clipped only
  const long *sizes;        // [count], elements of each gradient and value
  long count;
  double max_norm;  // infinity: no clipping
  double learning_rate;
  int threads;
  double *off_cpu_seconds;  // out: the most seconds that one of the threads was not running
};

// The functions of one instruction set. Each returns the size in bytes of its last argument (workspace or packed
// weights). If that argument is null, it does nothing else.
struct Kernels {
  const char *name;
  size_t (*layer_forward)(const LayerCall &, void *workspace);
  size_t (*layer_backward)(const LayerCall &, void *workspace);
  size_t (*pack_layer)(const LayerCall &, void *packed);  // reads sizes and weights
  size_t (*language_model_step)(const LanguageModelCall &, void *workspace);
  size_t (*pack_for_generation)(const GenerationModel &, void *packed);
  size_t (*generate)(const GenerationModel &, void *packed, const GenerationRun &, void *workspace);
  size_t (*logits)(const LogitsCall &, void *workspace);
  size_t (*descend)(const DescentCall &, void *workspace);
  size_t (*reserve_bytes)(const LayerCall &);
};

}  // namespace charloom
