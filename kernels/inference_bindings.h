// Inference of a recurrent layer of torch.nn, or of a language model around it, in one call from Python: all layers and
// directions.
#pragma once
#include <vector>

#include "frozen_weights.h"
#include "packed_batch.h"

namespace charloom {

// Allocates a tensor of these sizes with the dtype and on the device of `like`, which may not be those that are the
// default of the process.
template <class... Size>
nb::object new_tensor(nb::handle like, Size... size) {
  static PyObject *name = PyUnicode_InternFromString("new_empty");
  constexpr size_t count = sizeof...(size);
  const nb::object sizes[count] = {nb::int_(size)...};
  PyObject *arguments[1 + count] = {like.ptr()};
  for (size_t i = 0; i < count; i++) arguments[1 + i] = sizes[i].ptr();
  PyObject *tensor = PyObject_VectorcallMethod(name, arguments, (1 + count) | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (!tensor) nb::raise_python_error();
  return nb::steal(tensor);
}

// The weights of a call: the tensors, which it keeps alive, their addresses, and their packed copy if one is kept.
struct CallWeights {
  nb::tuple tensors;
  std::vector<LayerWeights> layers;  // empty if one of the tensors is not as layer_weights requires
  std::shared_ptr<const PackedWeights> kept;

  // frozen: null to keep no packed copy.
  CallWeights(const Kernels &kernels, const LayerOptions &options, const nb::list &weights, FrozenWeights *frozen)
      : tensors(weights) {  // a copy, because another thread may replace one in the list
    if (frozen) kept = frozen->kept(kernels, options, tensors, layer_weights(options, tensors, frozen->owned()));
    // Memory that is read again is checked again: an owned storage can have been shrunk.
    layers = kept ? kept->layers : layer_weights(options, tensors, {});
    if (frozen && !kept && !layers.empty()) kept = frozen->pack(kernels, options, tensors, layers);
  }
};

// The state before a call and after it: one part, or an LSTM's two. Each is (layers * directions, batch, hidden).
struct CallState {
  const float *first[2] = {};  // null for zeros
  nb::object last[2];
  float *last_at[2] = {};
  bool has_cell;

  explicit CallState(const LayerOptions &options) : has_cell((CellKind)std::get<0>(options) == CellKind::lstm) {}

  // Reads the initial state: None, a tensor or a tuple of two. Returns false if it is anything else.
  bool read(nb::handle state, const int64_t (&shape)[3]) {
    if (state.is_none()) return true;
    // Exactly a tuple: PyTorch's own forward decides about lists and named tuples.
    if (has_cell && (!PyTuple_CheckExact(state.ptr()) || PyTuple_Size(state.ptr()) != 2)) return false;
    for (long part = 0; part < 1 + has_cell; part++) {
      const nb::handle tensor = has_cell ? nb::handle(PyTuple_GetItem(state.ptr(), part)) : state;
      first[part] = TensorReader::instance().address<3>(tensor, shape);
      if (!first[part]) return false;
    }
    return true;
  }

  // Allocates the last state.
  void allocate(nb::handle like, const int64_t (&shape)[3]) {
    for (long part = 0; part < 1 + has_cell; part++) {
      last[part] = new_tensor(like, shape[0], shape[1], shape[2]);
      last_at[part] = TensorReader::instance().address_of_new(last[part]);
    }
  }

  // Returns the last state in the form of the initial one.
  nb::object result() const { return has_cell ? nb::make_tuple(last[0], last[1]) : last[0]; }
};

// Runs all layers and directions, without the GIL.
//
// first_layer: the sizes of the first layer. x: its input. y: (rows, directions * hidden).
inline void run_layers(const Kernels &kernels, const LayerOptions &options, long threads, const LayerSizes &first_layer,
                       const PackedBatch &packed_batch, const uint8_t *resets, const CallWeights &weights,
                       const CallState &state, const float *x, float *y) {
  const auto [cell, precision, input_size, hidden, num_layers, bidirectional, bias] = options;
  // Between layers: the outputs of the layer below, and those of this one. Before them zeros, the initial state.
  static thread_local Workspace between;
  const long directions = bidirectional ? 2 : 1, output = directions * hidden, rows = first_layer.rows();
  const long state_size = first_layer.batch * hidden, outputs_size = num_layers > 1 ? rows * output : 0;
  float *zeros = (float *)between.ensure_size((state_size + 2 * outputs_size) * sizeof(float));
  if (!state.first[0]) memset(zeros, 0, state_size * sizeof(float));
  for (long i = 0; i < num_layers * directions; i++) {
    const long layer = i / directions, direction = i % directions;
    LayerCall call{};
    (LayerSizes &)call = first_layer;
    if (layer) call.inputs = output;
    packed_batch.add_to(call);
    call.backward_in_time = direction == 1;
    call.resets = resets;
    call.weights = weights.layers[i];
    call.packed = weights.kept ? weights.kept->blocks[i]->data() : nullptr;
    call.x = layer ? zeros + state_size + (layer - 1) % 2 * outputs_size : x;
    call.y = (layer == num_layers - 1 ? y : zeros + state_size + layer % 2 * outputs_size) + direction * hidden;
    call.y_stride = output;
    call.first_hidden = state.first[0] ? state.first[0] + i * state_size : zeros;
    call.first_cell = state.first[1] ? state.first[1] + i * state_size : zeros;
    call.last_hidden = state.last_at[0] + i * state_size;
    call.last_cell = state.has_cell ? state.last_at[1] + i * state_size : nullptr;
    run_call(kernels.layer_forward, call, threads,
             layer_operations(call.cell, (double)rows, (double)call.inputs, (double)hidden));
  }
}

// Runs the layer on an input (steps, batch, features), or (rows, features) of a packed batch, without a backward pass.
//
// batch_sizes: of each step of a packed batch, as PackedBatch checks them; empty for a padded batch. state: None, or a
// tensor, or an LSTM's tuple of two. resets: None, or a Boolean tensor (steps, batch), not with batch_sizes. weights:
// as layer_weights takes them. frozen: None, or what keeps their packed copy. threads: the limit of run_call.
//
// Returns outputs (..., directions * hidden) and the last state in the form of the argument; None if a tensor is not
// dense float32 (the resets: bool) in the CPU's memory or does not have the shape that the options require.
inline nb::object infer_layers(const Kernels &kernels, const LayerOptions &options, long threads, nb::handle input,
                               const std::vector<int64_t> &batch_sizes, nb::handle state, nb::handle resets,
                               const nb::list &weights, FrozenWeights *frozen) {
  const auto [cell, precision, input_size, hidden, num_layers, bidirectional, bias] = options;
  const TensorReader &reader = TensorReader::instance();
  const bool is_packed = !batch_sizes.empty();
  int64_t shape[3] = {(int64_t)batch_sizes.size(), is_packed ? batch_sizes[0] : 0}, packed[2] = {};
  if (!(is_packed ? reader.shape_of(input, packed) : reader.shape_of(input, shape))) return nb::none();
  const long steps = shape[0], batch = shape[1], directions = bidirectional ? 2 : 1;
  const long rows = is_packed ? packed[0] : steps * batch, output = directions * hidden;
  const float *x =
      is_packed ? reader.address<2>(input, {rows, input_size}) : reader.address<3>(input, {steps, batch, input_size});
  if (!x) return nb::none();
  const LayerSizes first_layer = {(CellKind)cell, (Precision)precision, steps, batch, input_size, hidden, packed[0]};
  const PackedBatch packed_batch(is_packed ? batch_sizes.data() : nullptr, first_layer);
  const uint8_t *reset_at = resets.is_none() ? nullptr : reader.address<2, uint8_t>(resets, {steps, batch});
  if (!resets.is_none() && !reset_at) return nb::none();
  const CallWeights call_weights(kernels, options, weights, frozen);
  const int64_t state_shape[3] = {num_layers * directions, batch, hidden};
  CallState call_state(options);
  if (call_weights.layers.empty() || !call_state.read(state, state_shape)) return nb::none();

  nb::object y = is_packed ? new_tensor(input, rows, output) : new_tensor(input, steps, batch, output);
  call_state.allocate(input, state_shape);
  float *y_at = reader.address_of_new(y);
  {
    nb::gil_scoped_release release;
    run_layers(kernels, options, threads, first_layer, packed_batch, reset_at, call_weights, call_state, x, y_at);
  }
  return nb::make_tuple(y, call_state.result());
}

// Runs one step of a language model: token ids (batch) to logits (batch, vocabulary), without a backward pass.
//
// embedding: (vocabulary, input size), or None for one-hot input. output: (vocabulary, hidden); output_bias:
// (vocabulary). Other arguments: as for infer_layers, for a unidirectional layer.
//
// Returns logits and the last state; None as infer_layers, or for an id that is not in the vocabulary.
inline nb::object infer_step(const Kernels &kernels, const LayerOptions &options, long threads, nb::handle ids,
                             nb::handle state, const nb::list &weights, FrozenWeights *frozen, nb::handle embedding,
                             nb::handle output, nb::handle output_bias) {
  const auto [cell, precision, input_size, hidden, num_layers, bidirectional, bias] = options;
  const TensorReader &reader = TensorReader::instance();
  // A copy, because another thread may write to the caller's ids between the check and the use.
  const std::vector<int64_t> tokens = reader.ids(ids);
  int64_t output_shape[2];
  if (bidirectional || tokens.empty() || !reader.shape_of(output, output_shape)) return nb::none();
  const long batch = tokens.size(), vocabulary = output_shape[0];
  const float *rows = embedding.is_none() ? nullptr : reader.address<2>(embedding, {vocabulary, input_size});
  const float *matrix = reader.address<2>(output, {vocabulary, hidden});
  const float *vector = reader.address<1>(output_bias, {vocabulary});
  if (!matrix || !vector || (embedding.is_none() ? input_size != vocabulary : !rows)) return nb::none();
  for (int64_t token : tokens)
    if (token < 0 || token >= vocabulary) return nb::none();
  const CallWeights call_weights(kernels, options, weights, frozen);
  const int64_t state_shape[3] = {num_layers, batch, hidden};
  CallState call_state(options);
  if (call_weights.layers.empty() || !call_state.read(state, state_shape)) return nb::none();

  nb::object logits = new_tensor(output, batch, vocabulary);
  call_state.allocate(output, state_shape);
  float *logits_at = reader.address_of_new(logits);
  {
    nb::gil_scoped_release release;
    static thread_local Workspace values;
    float *x = (float *)values.ensure_size(batch * (input_size + hidden) * sizeof(float));
    float *y = x + batch * input_size;
    for (long b = 0; b < batch; b++) {
      float *row = x + b * input_size;
      if (rows) {
        memcpy(row, rows + tokens[b] * input_size, input_size * sizeof(float));
      } else {
        memset(row, 0, input_size * sizeof(float));
        row[tokens[b]] = 1;
      }
    }
    const LayerSizes first_layer = {(CellKind)cell, (Precision)precision, 1, batch, input_size, hidden};
    const PackedBatch padded_batch(nullptr, first_layer);
    run_layers(kernels, options, threads, first_layer, padded_batch, nullptr, call_weights, call_state, x, y);
    LogitsCall call{batch, hidden, vocabulary, matrix, vector, y, logits_at, 1, nullptr};
    run_call(kernels.logits, call, threads, 2.0 * (double)batch * (double)hidden * (double)vocabulary);
  }
  return nb::make_tuple(logits, call_state.result());
}

inline void bind_inference(nb::module_ &module, nb::class_<Kernels> &kernels) {
  using namespace nb::literals;
  FrozenWeights::bind(module);
  kernels.def("frozen_weights", [](const Kernels &) { return new FrozenWeights(); })
      .def("infer_layers", infer_layers, "options"_a, nb::kw_only(), "threads"_a, "input"_a.none(),
           "batch_sizes"_a = std::vector<int64_t>(), "state"_a.none(), "resets"_a.none(), "weights"_a,
           "frozen"_a.none())
      .def("infer_step", infer_step, "options"_a, nb::kw_only(), "threads"_a, "ids"_a.none(), "state"_a.none(),
           "weights"_a, "frozen"_a.none(), "embedding"_a.none(), "output"_a.none(), "output_bias"_a.none());
}

}  // namespace charloom
