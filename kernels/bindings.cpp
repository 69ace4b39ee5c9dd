// The Python module charloom._kernels. Functions take addresses and sizes and return nothing. Their only caller,
// charloom.recurrence.kernel_calls, takes each address from a tensor whose shape, dtype and layout it has checked.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "inference_bindings.h"
#include "packed_batch.h"
#include "supported_kernels.h"

namespace nb = nanobind;
using namespace charloom;
using namespace nb::literals;

namespace {

using Address = uintptr_t;

// The tuples of src/charloom/recurrence/kernel_arguments.py, in the order of the fields of LayerSizes and ModelSizes.
using LayerShape = std::tuple<int, int, long, long, long, long, long>;
using ModelShape = std::tuple<int, long, long, long, long>;

LayerSizes make_sizes(const LayerShape &shape) {
  auto make = [](int cell, int precision, auto... sizes) {
    return LayerSizes{(CellKind)cell, (Precision)precision, sizes...};
  };
  return std::apply(make, shape);
}

// Throws std::invalid_argument (ValueError in Python) for more than kMaxLayers layers or another number of parameters.
ModelSizes make_sizes(const ModelShape &shape, size_t parameters) {
  const auto sizes = std::apply([](int cell, auto... sizes) { return ModelSizes{(CellKind)cell, sizes...}; }, shape);
  if (sizes.layers < 1 || sizes.layers > kMaxLayers)
    throw std::invalid_argument("the number of layers is " + std::to_string(sizes.layers) + ": it must be from 1 to " +
                                std::to_string(kMaxLayers));
  if (parameters != (size_t)(3 + 4 * sizes.layers))
    throw std::invalid_argument("the number of parameters does not match the number of layers");
  return sizes;
}

LayerGradients gradients_at(const std::vector<Address> &a, long at = 0) {
  return {(float *)a.at(at), (float *)a.at(at + 1), (float *)a.at(at + 2), (float *)a.at(at + 3)};
}
LayerWeights weights_at(const std::vector<Address> &a, long at = 0) {
  const LayerGradients same = gradients_at(a, at);
  return {same.input, same.hidden, same.input_bias, same.hidden_bias};
}

// Address and size in bytes.
using Block = std::pair<Address, size_t>;

// Throws std::invalid_argument (ValueError in Python) for a reserve that is too small.
void check_reserve(const Kernels &kernels, const LayerCall &call, const Block &reserve) {
  const size_t needed = kernels.reserve_bytes(call);
  if (reserve.second < needed)
    throw std::invalid_argument("a reserve of " + std::to_string(reserve.second) +
                                " bytes is too small: " + std::to_string(needed) + " are needed");
}

// Returns the part of a call that both passes share. An address of 0 stands for an array that the call does not have.
LayerCall layer_call(const LayerShape &shape, bool backward_in_time, Address resets,
                     const std::vector<Address> &weights, Address x, Address first_hidden, Address first_cell,
                     const Block &reserve) {
  LayerCall call{};
  (LayerSizes &)call = make_sizes(shape);
  if (resets && call.packed_rows) throw std::invalid_argument("a packed batch has no resets");
  call.backward_in_time = backward_in_time;
  call.resets = (const uint8_t *)resets;
  call.weights = weights_at(weights);
  call.x = (const float *)x;
  call.first_hidden = (const float *)first_hidden;
  call.first_cell = (const float *)first_cell;
  call.reserve = (void *)reserve.first;
  return call;
}

// batch_sizes: 0 for a padded batch; resets: 0 for none; here and below. threads: the limit of run_call. reserve: of
// address 0 if no backward pass follows.
void layer_forward(const Kernels &kernels, const LayerShape &shape, bool backward_in_time, Address batch_sizes,
                   Address resets, long threads, const std::vector<Address> &weights, Address x, Address first_hidden,
                   Address first_cell, Address y, Address last_hidden, Address last_cell, const Block &reserve) {
  LayerCall call = layer_call(shape, backward_in_time, resets, weights, x, first_hidden, first_cell, reserve);
  const PackedBatch packed((const int64_t *)batch_sizes, call);
  packed.add_to(call);
  call.y = (float *)y;
  call.y_stride = call.hidden;
  call.last_hidden = (float *)last_hidden;
  call.last_cell = (float *)last_cell;
  if (call.reserve) check_reserve(kernels, call, reserve);
  nb::gil_scoped_release release;
  const long rows = call.rows();
  if (call.reserve) advise_huge_pages(call.reserve, reserve.second);
  advise_huge_pages(call.y, (size_t)(rows * call.hidden) * sizeof(float));
  run_call(kernels.layer_forward, call, threads, layer_operations(call.cell, rows, call.inputs, call.hidden));
}

// dx: 0 if the gradient of the input is not needed. The reserve is overwritten.
void layer_backward(const Kernels &kernels, const LayerShape &shape, bool backward_in_time, Address batch_sizes,
                    Address resets, long threads, const std::vector<Address> &weights,
                    const std::vector<Address> &gradients, Address x, Address first_hidden, Address first_cell,
                    const Block &reserve, Address dy, Address d_last_hidden, Address d_last_cell, Address dx,
                    Address d_first_hidden, Address d_first_cell) {
  LayerCall call = layer_call(shape, backward_in_time, resets, weights, x, first_hidden, first_cell, reserve);
  const PackedBatch packed((const int64_t *)batch_sizes, call);
  packed.add_to(call);
  check_reserve(kernels, call, reserve);
  call.gradients = gradients_at(gradients);
  call.dy = (const float *)dy;
  call.d_last_hidden = (const float *)d_last_hidden;
  call.d_last_cell = (const float *)d_last_cell;
  call.dx = (float *)dx;
  call.d_first_hidden = (float *)d_first_hidden;
  call.d_first_cell = (float *)d_first_cell;
  nb::gil_scoped_release release;
  run_call(kernels.layer_backward, call, threads,
           2 * layer_operations(call.cell, call.rows(), call.inputs, call.hidden));
}

// Returns a copy (steps, batch) of ids (batch, steps). Throws std::out_of_range (IndexError in Python) for an id
// outside the vocabulary. The copy is what is checked, because other threads may write to the caller's ids meanwhile.
std::vector<int64_t> copy_checked_ids(Address address, long batch, long steps, long batch_stride, long step_stride,
                                      long vocabulary) {
  std::vector<int64_t> copy((size_t)(batch * steps));
  for (long t = 0; t < steps; t++)
    for (long b = 0; b < batch; b++) {
      const int64_t id = copy[t * batch + b] = ((const int64_t *)address)[b * batch_stride + t * step_stride];
      if (id < 0 || id >= vocabulary)
        throw std::out_of_range("id " + std::to_string(id) + " is not in the vocabulary of " +
                                std::to_string(vocabulary) + (vocabulary == 1 ? " token" : " tokens"));
    }
  return copy;
}

// strides: of ids, then of targets, each batch before step. parameters, gradients: the embedding (0 for one-hot input),
// four of each layer, the output weights, the output bias. threads: the limit of run_call.
void language_model_step(const Kernels &kernels, const ModelShape &shape, int precision, long steps, long batch,
                         long threads, Address ids, Address targets, const std::vector<long> &strides,
                         const std::vector<Address> &parameters, const std::vector<Address> &gradients, double dropout,
                         double layer_dropout, uint64_t seed, Address first_hidden, Address first_cell,
                         Address last_hidden, Address last_cell, Address loss) {
  LanguageModelCall call{};
  (ModelSizes &)call = make_sizes(shape, std::min(parameters.size(), gradients.size()));
  call.precision = (Precision)precision;
  call.steps = steps;
  call.batch = batch;
  std::vector<LayerWeights> weights;
  std::vector<LayerGradients> layer_gradients;
  const long output = 1 + 4 * call.layers;
  for (long at = 1; at < output; at += 4) {
    weights.push_back(weights_at(parameters, at));
    layer_gradients.push_back(gradients_at(gradients, at));
  }
  call.embedding = (const float *)parameters[0];
  call.d_embedding = (float *)gradients[0];
  call.weights = weights.data();
  call.gradients = layer_gradients.data();
  call.output = (const float *)parameters[output];
  call.output_bias = (const float *)parameters[output + 1];
  call.d_output = (float *)gradients[output];
  call.d_output_bias = (float *)gradients[output + 1];
  call.dropout = (float)dropout;
  call.layer_dropout = (float)layer_dropout;
  call.seed = seed;
  call.first_hidden = (const float *)first_hidden;
  call.first_cell = (const float *)first_cell;
  call.last_hidden = (float *)last_hidden;
  call.last_cell = (float *)last_cell;
  call.loss = (float *)loss;
  const auto checked_inputs = copy_checked_ids(ids, batch, steps, strides.at(0), strides.at(1), call.vocabulary);
  const auto checked_targets = copy_checked_ids(targets, batch, steps, strides.at(2), strides.at(3), call.vocabulary);
  call.ids = checked_inputs.data();
  call.targets = checked_targets.data();
  nb::gil_scoped_release release;
  const double rows = call.steps * call.batch, first = call.embedding_size;  // one-hot input is not multiplied
  const double work = 3 * (layer_operations(call.cell, rows, first, call.hidden) +
                           (call.layers - 1) * layer_operations(call.cell, rows, call.hidden, call.hidden) +
                           2 * rows * call.hidden * call.vocabulary);
  run_call(kernels.language_model_step, call, threads, work);
}

// The packed weights of a language model, and generation with them.
class Generator {
 public:
  Generator(const Kernels &kernels, const ModelShape &shape, bool int8, const std::vector<Address> &parameters)
      : kernels_(kernels) {
    (ModelSizes &)model_ = make_sizes(shape, parameters.size());
    model_.int8 = int8;
    std::vector<LayerWeights> weights;
    const long output = 1 + 4 * model_.layers;
    for (long at = 1; at < output; at += 4) weights.push_back(weights_at(parameters, at));
    model_.embedding = (const float *)parameters.front();
    model_.weights = weights.data();
    model_.output = (const float *)parameters[output];
    model_.output_bias = (const float *)parameters[output + 1];
    kernels_.pack_for_generation(model_, packed_.ensure_size(kernels_.pack_for_generation(model_, nullptr)));
    model_.weights = nullptr;  // the vector is destroyed here; only packing reads the weights
  }

  void run(long samples, long steps, bool greedy, double exponent, long top_k, double top_p, long forbidden,
           Address draws, Address logits, Address hidden, Address cell, Address ids) {
    GenerationRun run{};
    run.samples = samples;
    run.steps = steps;
    run.sampling = {greedy, exponent, top_k, top_p, forbidden};
    run.draws = (const double *)draws;
    run.logits = (float *)logits;
    run.first_hidden = (float *)hidden;
    run.first_cell = (float *)cell;
    run.ids = (int64_t *)ids;
    nb::gil_scoped_release release;
    kernels_.generate(model_, packed_.data(), run,
                      workspace.ensure_size(kernels_.generate(model_, nullptr, run, nullptr)));
  }

 private:
  const Kernels &kernels_;
  GenerationModel model_{};
  Workspace packed_;
};

std::vector<float *> to_pointers(const std::vector<Address> &addresses) {
  std::vector<float *> list;
  for (Address address : addresses) list.push_back((float *)address);
  return list;
}

// values: empty to clip the gradients only. threads: the limit of run_call.
void descend(const Kernels &kernels, const std::vector<Address> &gradients, const std::vector<Address> &values,
             const std::vector<long> &sizes, double max_norm, double learning_rate, long threads) {
  if (gradients.size() != sizes.size() || (!values.empty() && values.size() != sizes.size()))
    throw std::invalid_argument("expected one size for each gradient, and as many values as gradients or none");
  DescentCall call{};
  const std::vector<float *> at_gradients = to_pointers(gradients), at_values = to_pointers(values);
  call.gradients = at_gradients.data();
  call.values = values.empty() ? nullptr : at_values.data();
  call.sizes = sizes.data();
  call.count = (long)sizes.size();
  call.max_norm = max_norm;
  call.learning_rate = learning_rate;
  constexpr double kOperationsPerValue = 100;  // which take as long as the memory traffic of a value
  double work = 0;
  for (long size : sizes) work += kOperationsPerValue * (double)size;
  nb::gil_scoped_release release;
  run_call(kernels.descend, call, threads, work);
}

}  // namespace

NB_MODULE(_kernels, m) {
  nb::set_leak_warnings(false);  // Python's caches keep references to this module until the process ends
  m.doc() = "charloom's native kernels, to be used through charloom.recurrence.";
  nb::dict cells;
  for (const NamedCell &cell : kCells) cells[cell.name] = nb::make_tuple((int)cell.kind, cell.gates);
  m.attr("CELLS") = cells;
  auto kernels = nb::class_<Kernels>(m, "Kernels", "The kernels of one instruction set.");
  kernels.def_prop_ro("name", [](const Kernels &kernels) { return std::string(kernels.name); })
      .def_prop_ro("max_layers", [](const Kernels &) { return kMaxLayers; })
      .def("layer_forward", layer_forward, "sizes"_a, nb::kw_only(), "backward_in_time"_a, "batch_sizes"_a, "resets"_a,
           "threads"_a, "weights"_a, "x"_a, "first_hidden"_a, "first_cell"_a, "y"_a, "last_hidden"_a, "last_cell"_a,
           "reserve"_a)
      .def("layer_backward", layer_backward, "sizes"_a, nb::kw_only(), "backward_in_time"_a, "batch_sizes"_a,
           "resets"_a, "threads"_a, "weights"_a, "gradients"_a, "x"_a, "first_hidden"_a, "first_cell"_a, "reserve"_a,
           "dy"_a, "d_last_hidden"_a, "d_last_cell"_a, "dx"_a, "d_first_hidden"_a, "d_first_cell"_a)
      .def("language_model_step", language_model_step, "sizes"_a, nb::kw_only(), "precision"_a, "steps"_a, "batch"_a,
           "threads"_a, "ids"_a, "targets"_a, "strides"_a, "parameters"_a, "gradients"_a, "dropout"_a,
           "layer_dropout"_a, "seed"_a, "first_hidden"_a, "first_cell"_a, "last_hidden"_a, "last_cell"_a, "loss"_a)
      .def("descend", descend, nb::kw_only(), "gradients"_a, "values"_a, "sizes"_a, "max_norm"_a, "learning_rate"_a,
           "threads"_a)
      .def(
          "generator",
          [](const Kernels &kernels, const ModelShape &shape, bool int8, const std::vector<Address> &parameters) {
            return new Generator(kernels, shape, int8, parameters);
          },
          "sizes"_a, nb::kw_only(), "int8"_a, "parameters"_a, nb::keep_alive<0, 1>());
  bind_inference(m, kernels);
  nb::class_<Generator>(m, "Generator", "The packed weights of a language model, and generation with them.")
      .def("run", &Generator::run, nb::kw_only(), "samples"_a, "steps"_a, "greedy"_a, "exponent"_a, "top_k"_a,
           "top_p"_a, "forbidden"_a, "draws"_a, "logits"_a, "hidden"_a, "cell"_a, "ids"_a);
  m.def(
      "supported",
      [] {
        nb::list list;
        for (const Kernels *kernels : supported_kernels()) list.append(nb::cast(kernels, nb::rv_policy::reference));
        return list;
      },
      "Returns the kernels that this processor supports, the fastest last.");
}
