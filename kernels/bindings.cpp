// The Python module charloom._kernels: addresses and sizes in, nothing out. charloom.recurrence.kernel_calls is its
// only caller, and takes each address from a tensor whose shape, dtype and layout it has checked.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/thread_choice.h"
#include "runtime/workspace.h"
#include "supported_kernels.h"

namespace nb = nanobind;
using namespace charloom;
using namespace nb::literals;

namespace {

using Address = uintptr_t;

thread_local Workspace workspace;

ThreadChoice thread_choice;

// Runs a function of Kernels on as many threads as suit the call. limit: negative for exactly so many.
template <class Call>
void on_threads(size_t (*function)(const Call &, void *), Call &call, long limit, double work) {
  double lost = 0;
  call.threads = thread_choice.threads((int)std::min(std::labs(limit), 256l), limit < 0, work);
  call.lost = &lost;
  const double began = now();
  function(call, workspace.of_size(function(call, nullptr)));
  thread_choice.finished(call.threads, now() - began, lost);
}

// Multiplications and additions of a layer, forward.
double layer_work(CellKind cell, double rows, double inputs, double hidden) {
  return 2 * rows * kCells[(int)cell].gates * hidden * (inputs + hidden);
}

// The tuples of src/charloom/recurrence/kernel_arguments.py.
using LayerShape = std::tuple<int, int, long, long, long, long>;
using ModelShape = std::tuple<int, long, long, long, long>;

LayerSizes sizes_of(const LayerShape &shape) {
  auto named = [](int cell, int precision, auto... sizes) {
    return LayerSizes{(CellKind)cell, (Precision)precision, sizes...};
  };
  return std::apply(named, shape);
}

// Throws std::invalid_argument, ValueError to Python, for more layers than arrays have places, or other parameters.
ModelSizes sizes_of(const ModelShape &shape, size_t parameters) {
  const auto sizes = std::apply([](int cell, auto... sizes) { return ModelSizes{(CellKind)cell, sizes...}; }, shape);
  if (sizes.layers < 1 || sizes.layers > kMaxLayers)
    throw std::invalid_argument(std::to_string(sizes.layers) + " layers are not between 1 and " +
                                std::to_string(kMaxLayers));
  if (parameters != (size_t)(3 + 4 * sizes.layers)) throw std::invalid_argument("parameters do not fit the layers");
  return sizes;
}

LayerGradients gradients_at(const std::vector<Address> &a, long at = 0) {
  return {(float *)a.at(at), (float *)a.at(at + 1), (float *)a.at(at + 2), (float *)a.at(at + 3)};
}
LayerWeights weights_at(const std::vector<Address> &a, long at = 0) {
  const LayerGradients same = gradients_at(a, at);
  return {same.input, same.hidden, same.input_bias, same.hidden_bias};
}

size_t reserve_bytes(const Kernels &kernels, const LayerShape &shape) {
  LayerCall call{};
  (LayerSizes &)call = sizes_of(shape);
  return kernels.reserve_bytes(call);
}

// Addresses are 0 for arrays that a call does not have.
LayerCall layer_call(const LayerShape &shape, bool backward_in_time, const std::vector<Address> &weights, Address x,
                     Address first_hidden, Address first_cell, Address reserve) {
  LayerCall call{};
  (LayerSizes &)call = sizes_of(shape);
  call.backward_in_time = backward_in_time;
  call.weights = weights_at(weights);
  call.x = (const float *)x;
  call.first_hidden = (const float *)first_hidden;
  call.first_cell = (const float *)first_cell;
  call.reserve = (void *)reserve;
  return call;
}

// threads: as in on_threads.
void layer_forward(const Kernels &kernels, const LayerShape &shape, bool backward_in_time, long threads,
                   const std::vector<Address> &weights, Address x, Address first_hidden, Address first_cell, Address y,
                   Address last_hidden, Address last_cell, Address reserve) {
  LayerCall call = layer_call(shape, backward_in_time, weights, x, first_hidden, first_cell, reserve);
  call.y = (float *)y;
  call.last_hidden = (float *)last_hidden;
  call.last_cell = (float *)last_cell;
  nb::gil_scoped_release release;
  const long rows = call.steps * call.batch;
  if (reserve) ask_for_large_pages(call.reserve, kernels.reserve_bytes(call));
  ask_for_large_pages(call.y, (size_t)(rows * call.hidden) * sizeof(float));
  on_threads(kernels.layer_forward, call, threads, layer_work(call.cell, rows, call.inputs, call.hidden));
}

// dx: 0 if the gradient of the input is not needed. Overwrites the reserve.
void layer_backward(const Kernels &kernels, const LayerShape &shape, bool backward_in_time, long threads,
                    const std::vector<Address> &weights, const std::vector<Address> &gradients, Address x,
                    Address first_hidden, Address first_cell, Address reserve, Address dy, Address d_last_hidden,
                    Address d_last_cell, Address dx, Address d_first_hidden, Address d_first_cell) {
  LayerCall call = layer_call(shape, backward_in_time, weights, x, first_hidden, first_cell, reserve);
  call.gradients = gradients_at(gradients);
  call.dy = (const float *)dy;
  call.d_last_hidden = (const float *)d_last_hidden;
  call.d_last_cell = (const float *)d_last_cell;
  call.dx = (float *)dx;
  call.d_first_hidden = (float *)d_first_hidden;
  call.d_first_cell = (float *)d_first_cell;
  nb::gil_scoped_release release;
  on_threads(kernels.layer_backward, call, threads,
             2 * layer_work(call.cell, call.steps * call.batch, call.inputs, call.hidden));
}

// Returns a copy (steps, batch) of ids (batch, steps). Throws std::out_of_range, IndexError to Python: a wrong id would
// read and write beside the tables. The copy is what is checked: other threads may write to the caller's ids meanwhile.
std::vector<int64_t> checked_ids(Address address, long batch, long steps, long batch_stride, long step_stride,
                                 long vocabulary) {
  std::vector<int64_t> copy((size_t)(batch * steps));
  for (long t = 0; t < steps; t++)
    for (long b = 0; b < batch; b++) {
      const int64_t id = copy[t * batch + b] = ((const int64_t *)address)[b * batch_stride + t * step_stride];
      if (id < 0 || id >= vocabulary)
        throw std::out_of_range("id " + std::to_string(id) + " is not in the vocabulary of " +
                                std::to_string(vocabulary));
    }
  return copy;
}

// strides: of ids and of targets, batch before step; parameters and gradients: embedding (0 for one-hot input), four a
// layer, output, its bias. threads: as in on_threads.
void language_model_step(const Kernels &kernels, const ModelShape &shape, int precision, long steps, long batch,
                         long threads, Address ids, Address targets, const std::vector<long> &strides,
                         const std::vector<Address> &parameters, const std::vector<Address> &gradients, double dropout,
                         double layer_dropout, uint64_t seed, Address first_hidden, Address first_cell,
                         Address last_hidden, Address last_cell, Address loss) {
  LanguageModelCall call{};
  (ModelSizes &)call = sizes_of(shape, std::min(parameters.size(), gradients.size()));
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
  const auto read = checked_ids(ids, batch, steps, strides.at(0), strides.at(1), call.vocabulary);
  const auto wanted = checked_ids(targets, batch, steps, strides.at(2), strides.at(3), call.vocabulary);
  call.ids = read.data();
  call.targets = wanted.data();
  nb::gil_scoped_release release;
  const double rows = call.steps * call.batch, first = call.embedding_size;  // one-hot input is not multiplied
  const double work = 3 * (layer_work(call.cell, rows, first, call.hidden) +
                           (call.layers - 1) * layer_work(call.cell, rows, call.hidden, call.hidden) +
                           2 * rows * call.hidden * call.vocabulary);
  on_threads(kernels.language_model_step, call, threads, work);
}

// A model's weights, packed, and the loop over characters on them.
class Generator {
 public:
  // parameters: as in language_model_step.
  Generator(const Kernels &kernels, const ModelShape &shape, bool int8, const std::vector<Address> &parameters)
      : kernels_(kernels) {
    (ModelSizes &)model_ = sizes_of(shape, parameters.size());
    model_.int8 = int8;
    std::vector<LayerWeights> weights;
    const long output = 1 + 4 * model_.layers;
    for (long at = 1; at < output; at += 4) weights.push_back(weights_at(parameters, at));
    model_.embedding = (const float *)parameters.front();
    model_.weights = weights.data();
    model_.output = (const float *)parameters[output];
    model_.output_bias = (const float *)parameters[output + 1];
    kernels_.pack_for_generation(model_, packed_.of_size(kernels_.pack_for_generation(model_, nullptr)));
    model_.weights = nullptr;
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
    kernels_.generate(model_, packed_.data(), run, workspace.of_size(kernels_.generate(model_, nullptr, run, nullptr)));
  }

 private:
  const Kernels &kernels_;
  GenerationModel model_{};
  Workspace packed_;
};

std::vector<float *> pointers(const std::vector<Address> &addresses) {
  std::vector<float *> list;
  for (Address address : addresses) list.push_back((float *)address);
  return list;
}

// values: none, to clip only. threads as in on_threads.
void descend(const Kernels &kernels, const std::vector<Address> &gradients, const std::vector<Address> &values,
             const std::vector<long> &sizes, double limit, double rate, long threads) {
  if (gradients.size() != sizes.size() || (!values.empty() && values.size() != sizes.size()))
    throw std::invalid_argument("as many sizes as arrays");
  DescentCall call{};
  const std::vector<float *> at_gradients = pointers(gradients), at_values = pointers(values);
  call.gradients = at_gradients.data();
  call.values = values.empty() ? nullptr : at_values.data();
  call.sizes = sizes.data();
  call.count = (long)sizes.size();
  call.limit = limit;
  call.rate = rate;
  constexpr double work_of_a_value = 100;  // what memory takes for it, as multiplications and additions
  double work = 0;
  for (long size : sizes) work += work_of_a_value * (double)size;
  nb::gil_scoped_release release;
  on_threads(kernels.descend, call, threads, work);
}

}  // namespace

NB_MODULE(_kernels, m) {
  nb::set_leak_warnings(false);  // what Python caches of this module lives until the process ends
  m.doc() = "charloom's native kernels; use them through charloom.recurrence.";
  nb::dict cells;
  for (const NamedCell &cell : kCells) cells[cell.name] = nb::make_tuple((int)cell.kind, cell.gates);
  m.attr("CELLS") = cells;
  nb::class_<Kernels>(m, "Kernels", "The kernels of one instruction set.")
      .def_prop_ro("name", [](const Kernels &kernels) { return std::string(kernels.name); })
      .def_prop_ro("max_layers", [](const Kernels &) { return kMaxLayers; })
      .def("reserve_bytes", reserve_bytes, "sizes"_a)
      .def("layer_forward", layer_forward, "sizes"_a, nb::kw_only(), "backward_in_time"_a, "threads"_a, "weights"_a,
           "x"_a, "first_hidden"_a, "first_cell"_a, "y"_a, "last_hidden"_a, "last_cell"_a, "reserve"_a)
      .def("layer_backward", layer_backward, "sizes"_a, nb::kw_only(), "backward_in_time"_a, "threads"_a, "weights"_a,
           "gradients"_a, "x"_a, "first_hidden"_a, "first_cell"_a, "reserve"_a, "dy"_a, "d_last_hidden"_a,
           "d_last_cell"_a, "dx"_a, "d_first_hidden"_a, "d_first_cell"_a)
      .def("language_model_step", language_model_step, "sizes"_a, nb::kw_only(), "precision"_a, "steps"_a, "batch"_a,
           "threads"_a, "ids"_a, "targets"_a, "strides"_a, "parameters"_a, "gradients"_a, "dropout"_a,
           "layer_dropout"_a, "seed"_a, "first_hidden"_a, "first_cell"_a, "last_hidden"_a, "last_cell"_a, "loss"_a)
      .def("descend", descend, nb::kw_only(), "gradients"_a, "values"_a, "sizes"_a, "limit"_a, "rate"_a, "threads"_a)
      .def(
          "generator",
          [](const Kernels &kernels, const ModelShape &shape, bool int8, const std::vector<Address> &parameters) {
            return new Generator(kernels, shape, int8, parameters);
          },
          "sizes"_a, nb::kw_only(), "int8"_a, "parameters"_a, nb::keep_alive<0, 1>());
  nb::class_<Generator>(m, "Generator", "A language model's weights, packed, and the loop over characters on them.")
      .def("run", &Generator::run, nb::kw_only(), "samples"_a, "steps"_a, "greedy"_a, "exponent"_a, "top_k"_a,
           "top_p"_a, "forbidden"_a, "draws"_a, "logits"_a, "hidden"_a, "cell"_a, "ids"_a);
  m.def(
      "supported",
      [] {
        nb::list list;
        for (const Kernels *kernels : supported_kernels()) list.append(nb::cast(kernels, nb::rv_policy::reference));
        return list;
      },
      "The kernels that this processor can run, the best last.");
}
