// The weights of a recurrent layer of torch.nn, read from its tensors; and packed weights that are kept from call to
// call.
#pragma once
#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

#include "runtime/run_call.h"
#include "tensor_view.h"

namespace charloom {

namespace nb = nanobind;

// The options of a layer of torch.nn, as Python passes them: cell, precision, input size, hidden size, layers,
// bidirectional, bias.
using LayerOptions = std::tuple<int, int, long, long, long, bool, bool>;

// Returns the addresses of the weights of every layer and direction; none if a tensor is not dense float32 in the CPU's
// memory or does not have the shape that the options require.
//
// tensors: in torch.nn's order: input weights, hidden weights and, with bias, two biases. owned: addresses of memory
// that the caller owns, for each layer and direction; none if unknown.
inline std::vector<LayerWeights> layer_weights(const LayerOptions &options, const nb::tuple &tensors,
                                               const std::vector<LayerWeights> &owned) {
  const auto [cell, precision, input_size, hidden, num_layers, bidirectional, bias] = options;
  const TensorReader &reader = TensorReader::instance();
  const long directions = bidirectional ? 2 : 1, count = num_layers * directions, each = bias ? 4 : 2;
  const long rows = kCells[cell].gates * hidden;
  std::vector<LayerWeights> layers;
  if ((long)tensors.size() != each * count) return layers;
  for (long i = 0; i < count; i++) {
    const long inputs = i < directions ? input_size : directions * hidden;
    LayerWeights weights{};
    const LayerWeights own = (size_t)i < owned.size() ? owned[i] : weights;
    weights.input = reader.address<2>(tensors[each * i], {rows, inputs}, own.input);
    weights.hidden = reader.address<2>(tensors[each * i + 1], {rows, hidden}, own.hidden);
    if (bias) {
      weights.input_bias = reader.address<1>(tensors[each * i + 2], {rows}, own.input_bias);
      weights.hidden_bias = reader.address<1>(tensors[each * i + 3], {rows}, own.hidden_bias);
    }
    if (!weights.input || !weights.hidden || (bias && (!weights.input_bias || !weights.hidden_bias))) return {};
    layers.push_back(weights);
  }
  return layers;
}

// The packed weights of all layers and directions, and what they were packed from. Immutable: a call in another thread
// may be reading them.
struct PackedWeights {
  const Kernels *kernels;
  LayerOptions options;
  nb::tuple tensors;  // references, so that no other tensor gets the identity of a deleted one
  // Aliases, which own the memory that was packed: `weight.data = another` would free it, and the allocator could give
  // the same address to the next assignment.
  std::vector<nb::object> memory;
  std::vector<long> versions;
  std::vector<LayerWeights> layers;
  std::vector<std::unique_ptr<Workspace>> blocks;
};

// Packed weights that are kept from call to call, and packed again after every change that PyTorch records: another
// tensor or memory, or a higher version counter.
class FrozenWeights {
 public:
  // Returns the packed weights that are kept; null if the tensors have changed since, or if PyTorch counts no versions
  // (of tensors created in inference mode).
  std::shared_ptr<const PackedWeights> kept(const Kernels &kernels, const LayerOptions &options,
                                            const nb::tuple &tensors, const std::vector<LayerWeights> &layers) const {
    if (!packed_ || packed_->kernels != &kernels || packed_->options != options ||
        !same_tensors(packed_->tensors, tensors) || !same_memory(packed_->layers, layers))
      return nullptr;
    return owns_memory() && have_versions(tensors, packed_->versions) ? packed_ : nullptr;
  }

  // Packs weights, whose addresses have been checked, and keeps them; null if PyTorch counts no versions.
  std::shared_ptr<const PackedWeights> pack(const Kernels &kernels, const LayerOptions &options,
                                            const nb::tuple &tensors, const std::vector<LayerWeights> &layers) {
    // Before packing: a change in another thread meanwhile leaves the kept versions behind.
    std::vector<long> versions = versions_of(tensors);
    if (versions.empty()) return nullptr;
    std::vector<nb::object> memory;
    for (nb::handle tensor : tensors) memory.push_back(tensor.attr("detach")());
    packed_.reset(new PackedWeights{&kernels, options, tensors, std::move(memory), std::move(versions), layers,
                                    pack_layers(kernels, options, layers)});
    return packed_;
  }

  // Returns the tensors that are packed; none before the first call of pack.
  nb::tuple tensors() const { return packed_ ? packed_->tensors : nb::tuple(); }

  // Returns the addresses of the memory that is packed and owned; none before the first call of pack.
  std::vector<LayerWeights> owned() const { return packed_ ? packed_->layers : std::vector<LayerWeights>(); }

  static void bind(nb::module_ &module) {
    static PyType_Slot slots[] = {{Py_tp_traverse, (void *)traverse}, {Py_tp_clear, (void *)clear}, {0, nullptr}};
    nb::class_<FrozenWeights>(module, "FrozenWeights", nb::type_slots(slots),
                              "Packed weights of a recurrent layer that are kept from call to call.")
        .def_prop_ro("tensors", &FrozenWeights::tensors, "The tensors that are packed.");
  }

 private:
  // Returns true if the aliases still have the memory that was packed. A storage can be freed or moved with all its
  // tensors (untyped_storage().resize_, share_memory_); then another tensor may have got that address.
  bool owns_memory() const {
    const TensorReader &reader = TensorReader::instance();
    size_t i = 0;
    for (const LayerWeights &layer : packed_->layers)
      for (const float *expected : {layer.input, layer.hidden, layer.input_bias, layer.hidden_bias}) {
        if (!expected) continue;  // no bias
        if (reader.data_of(packed_->memory[i++]) != expected) return false;
      }
    return true;
  }
  // Returns a tensor's version counter; -1, with no error set, if PyTorch counts none.
  static long version_of(nb::handle tensor) {
    static PyObject *name = PyUnicode_InternFromString("_version");
    PyObject *version = PyObject_GetAttr(tensor.ptr(), name);
    if (version) return nb::cast<long>(nb::steal(version));
    PyErr_Clear();
    return -1;
  }
  // Returns the versions of all tensors; none if PyTorch does not count them for one.
  static std::vector<long> versions_of(const nb::tuple &tensors) {
    std::vector<long> versions;
    for (nb::handle tensor : tensors) {
      // A Parameter made from an inference tensor has a version that never changes.
      if (nb::cast<bool>(tensor.attr("is_inference")())) return {};
      versions.push_back(version_of(tensor));
      if (versions.back() < 0) return {};
    }
    return versions;
  }
  // Returns true if the tensors, which are the ones that were packed, still have the versions of that time.
  static bool have_versions(const nb::tuple &tensors, const std::vector<long> &versions) {
    for (size_t i = 0; i < versions.size(); i++)
      if (version_of(tensors[i]) != versions[i]) return false;
    return true;
  }
  static bool same_tensors(const nb::tuple &a, const nb::tuple &b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
      if (!a[i].is(b[i])) return false;
    return true;
  }
  static bool same_memory(const std::vector<LayerWeights> &a, const std::vector<LayerWeights> &b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const LayerWeights &x, const LayerWeights &y) {
      return x.input == y.input && x.hidden == y.hidden && x.input_bias == y.input_bias &&
             x.hidden_bias == y.hidden_bias;
    });
  }
  static std::vector<std::unique_ptr<Workspace>> pack_layers(const Kernels &kernels, const LayerOptions &options,
                                                             const std::vector<LayerWeights> &layers) {
    const auto [cell, precision, input_size, hidden, num_layers, bidirectional, bias] = options;
    const size_t directions = bidirectional ? 2 : 1;
    std::vector<std::unique_ptr<Workspace>> blocks;
    for (size_t i = 0; i < layers.size(); i++) {
      LayerCall call{};
      const long inputs = i < directions ? input_size : (long)directions * hidden;
      (LayerSizes &)call = {(CellKind)cell, (Precision)precision, 1, 1, inputs, hidden};
      call.weights = layers[i];
      blocks.push_back(std::make_unique<Workspace>(kernels.pack_layer(call, nullptr)));
      kernels.pack_layer(call, blocks.back()->data());
    }
    return blocks;
  }

  // Slots of the Python type: its references to the weights may be a part of a cycle.
  static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    if (!nb::inst_ready(self)) return 0;
    const FrozenWeights *frozen = nb::inst_ptr<FrozenWeights>(self);
    if (!frozen->packed_) return 0;
    Py_VISIT(frozen->packed_->tensors.ptr());
    for (const nb::object &alias : frozen->packed_->memory) Py_VISIT(alias.ptr());
    return 0;
  }
  static int clear(PyObject *self) {
    nb::inst_ptr<FrozenWeights>(self)->packed_.reset();
    return 0;
  }

  std::shared_ptr<const PackedWeights> packed_;
};

}  // namespace charloom
