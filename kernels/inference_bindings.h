// Inference of a whole recurrent layer of torch.nn in one call from Python: all its layers and directions.
#pragma once
#include <vector>

#include "runtime/run_call.h"
#include "tensor_view.h"

namespace charloom {

namespace nb = nanobind;

// The options of a layer of torch.nn, as Python passes them: cell, precision, input size, hidden size, layers,
// bidirectional, bias.
using LayerOptions = std::tuple<int, int, long, long, long, bool, bool>;

// Allocates a tensor (a, b, c) with the dtype and on the device of `like`, which may not be those that are the default
// of the process.
inline nb::object new_tensor(nb::handle like, long a, long b, long c) {
  static PyObject *name = PyUnicode_InternFromString("new_empty");
  const nb::object sizes[3] = {nb::int_(a), nb::int_(b), nb::int_(c)};
  PyObject *arguments[4] = {like.ptr(), sizes[0].ptr(), sizes[1].ptr(), sizes[2].ptr()};
  PyObject *tensor = PyObject_VectorcallMethod(name, arguments, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (!tensor) nb::raise_python_error();
  return nb::steal(tensor);
}

// Runs the layer on an input (steps, batch, features) without a backward pass.
//
// weights: the tensors of every layer and direction, in torch.nn's order: input weights, hidden weights and, with bias,
// two biases. state: None, or a tuple of the state's parts. threads: the limit of run_call.
//
// Returns outputs (steps, batch, directions * hidden) and a tuple of the last state's parts; None if a tensor is not
// dense float32 in the CPU's memory or does not have the shape that the options require.
inline nb::object infer_layers(const Kernels &kernels, const LayerOptions &options, long threads, nb::handle input,
                               nb::handle state, const nb::list &list) {
  const nb::tuple weights(list);  // keeps the tensors alive, even if another thread replaces one in the list
  const auto [cell, precision, input_size, hidden, num_layers, bidirectional, bias] = options;
  const TensorReader &reader = TensorReader::instance();
  int64_t sizes[3];
  if (!reader.shape_of(input, sizes)) return nb::none();
  const long steps = sizes[0], batch = sizes[1], directions = bidirectional ? 2 : 1, count = num_layers * directions;
  const float *x = reader.address<3>(input, {steps, batch, input_size});
  const long each = bias ? 4 : 2;
  if (!x || (long)weights.size() != each * count) return nb::none();
  const bool has_cell = (CellKind)cell == CellKind::lstm;
  const long rows = kCells[cell].gates * hidden, output = directions * hidden;

  std::vector<LayerWeights> layers(count);
  for (long i = 0; i < count; i++) {
    const long inputs = i < directions ? input_size : output;
    auto &[w_ih, w_hh, b_ih, b_hh] = layers[i];
    w_ih = reader.address<2>(weights[each * i], {rows, inputs});
    w_hh = reader.address<2>(weights[each * i + 1], {rows, hidden});
    if (bias) {
      b_ih = reader.address<1>(weights[each * i + 2], {rows});
      b_hh = reader.address<1>(weights[each * i + 3], {rows});
    }
    if (!w_ih || !w_hh || (bias && (!b_ih || !b_hh))) return nb::none();
  }
  const float *first[2] = {};
  for (long part = 0; part < 1 + has_cell && !state.is_none(); part++) {
    first[part] = reader.address<3>(nb::handle(PyTuple_GET_ITEM(state.ptr(), part)), {count, batch, hidden});
    if (!first[part]) return nb::none();
  }

  nb::object y = new_tensor(input, steps, batch, output), last[2];
  for (long part = 0; part < 1 + has_cell; part++) last[part] = new_tensor(input, count, batch, hidden);
  float *last_at[2] = {}, *y_at = reader.address_of_new(y);
  for (long part = 0; part < 1 + has_cell; part++) last_at[part] = reader.address_of_new(last[part]);
  {
    nb::gil_scoped_release release;
    // Between layers: the outputs of the layer below, and those of this one. Before them zeros, the initial state.
    static thread_local Workspace between;
    const long state_size = batch * hidden, outputs_size = num_layers > 1 ? steps * batch * output : 0;
    float *zeros = (float *)between.ensure_size((state_size + 2 * outputs_size) * sizeof(float));
    if (!first[0]) memset(zeros, 0, state_size * sizeof(float));
    for (long i = 0; i < count; i++) {
      const long layer = i / directions, direction = i % directions;
      LayerCall call{};
      (LayerSizes &)call = {(CellKind)cell, (Precision)precision, steps, batch, layer ? output : input_size, hidden};
      call.backward_in_time = direction == 1;
      call.weights = layers[i];
      call.x = layer ? zeros + state_size + (layer - 1) % 2 * outputs_size : x;
      call.y = (layer == num_layers - 1 ? y_at : zeros + state_size + layer % 2 * outputs_size) + direction * hidden;
      call.y_stride = output;
      call.first_hidden = first[0] ? first[0] + i * state_size : zeros;
      call.first_cell = first[1] ? first[1] + i * state_size : zeros;
      call.last_hidden = last_at[0] + i * state_size;
      call.last_cell = has_cell ? last_at[1] + i * state_size : nullptr;
      run_call(kernels.layer_forward, call, threads,
               layer_operations(call.cell, (double)(steps * batch), (double)call.inputs, (double)hidden));
    }
  }
  return nb::make_tuple(y, has_cell ? nb::make_tuple(last[0], last[1]) : nb::make_tuple(last[0]));
}

}  // namespace charloom
