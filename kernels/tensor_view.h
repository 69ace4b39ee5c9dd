// The memory of a PyTorch tensor, read through the C functions that its type exports (DLPack's exchange interface,
// version 1.3), which is faster than the same questions in Python and does not depend on PyTorch's C++ library.
// Source: https://dmlc.github.io/dlpack/latest/c_api.html.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <type_traits>
#include <vector>

namespace charloom {

namespace dlpack {

struct Tensor {
  void *data;
  int32_t device_type, device_id;
  int32_t dimensions;
  uint8_t type_code, type_bits;
  uint16_t type_lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};

struct ExchangeInterface {
  uint32_t major, minor;
  void *previous;
  void *unused[3];  // functions that transfer ownership
  int (*tensor_from_object)(void *object, Tensor *out);
  void *current_stream;
};

}  // namespace dlpack

// Reads float32, bool and int64 tensors of exactly the types torch.Tensor and torch.nn.Parameter: a subclass may be
// anything.
class TensorReader {
 public:
  // The reader of this process; it imports PyTorch.
  static const TensorReader &instance() {
    static const TensorReader *reader = new TensorReader();  // never destroyed: Python may end first
    return *reader;
  }

  // Returns the address of a dense, contiguous, non-empty tensor of this shape in the CPU's memory, of float32 or, for
  // uint8_t, of bool; null for any other object. The equivalent of dense_address in
  // src/charloom/recurrence/kernel_arguments.py.
  //
  // owned: an address of the tensor's memory that the caller owns, so that it is known to be allocated; null if
  // unknown.
  template <int DIMENSIONS, class Element = float>
  Element *address(nanobind::handle object, const int64_t (&shape)[DIMENSIONS], const void *owned = nullptr) const {
    dlpack::Tensor tensor;
    if (!read<Element>(object, &tensor) || tensor.dimensions != DIMENSIONS) return nullptr;
    int64_t count = 1;
    for (int i = DIMENSIONS - 1; i >= 0; i--) {
      if (tensor.shape[i] != shape[i] || (shape[i] != 1 && tensor.strides[i] != count)) return nullptr;
      count *= shape[i];
    }
    const bool is_known = tensor.data == owned || is_allocated(object, count, sizeof(Element));
    return count && is_known && !is_negative(object) ? static_cast<Element *>(tensor.data) : nullptr;
  }

  // Returns the address of a float32 tensor's memory, without further checks; null for any other object.
  const void *data_of(nanobind::handle object) const {
    dlpack::Tensor tensor;
    return read<float>(object, &tensor) ? tensor.data : nullptr;
  }

  // Returns the address of a tensor that new_empty has just created from one that address() accepted.
  float *address_of_new(nanobind::handle object) const {
    dlpack::Tensor tensor;
    if (read_(object.ptr(), &tensor)) nanobind::raise_python_error();
    return static_cast<float *>(tensor.data);
  }

  // Reads the shape of a tensor of that many dimensions; false for any other object.
  template <int DIMENSIONS>
  bool shape_of(nanobind::handle object, int64_t (&shape)[DIMENSIONS]) const {
    dlpack::Tensor tensor;
    if (!read<float>(object, &tensor) || tensor.dimensions != DIMENSIONS) return false;
    for (int i = 0; i < DIMENSIONS; i++) shape[i] = tensor.shape[i];
    return true;
  }

  // Returns a copy of a non-empty int64 tensor of one dimension in the CPU's memory, dense or not; an empty vector for
  // any other object.
  std::vector<int64_t> ids(nanobind::handle object) const {
    dlpack::Tensor tensor;
    if (!read<int64_t>(object, &tensor) || tensor.dimensions != 1 || !tensor.shape[0]) return {};
    if (!is_allocated(object, (tensor.shape[0] - 1) * tensor.strides[0] + 1, sizeof(int64_t))) return {};
    std::vector<int64_t> copy((size_t)tensor.shape[0]);
    for (size_t i = 0; i < copy.size(); i++) copy[i] = static_cast<int64_t *>(tensor.data)[i * tensor.strides[0]];
    return copy;
  }

 private:
  TensorReader() {
    namespace nb = nanobind;
    nb::module_ torch = nb::module_::import_("torch");
    tensor_ = nb::object(torch.attr("Tensor")).release().ptr();
    parameter_ = nb::object(torch.attr("nn").attr("Parameter")).release().ptr();
    nb::object capsule = nb::getattr(nb::handle(tensor_), "__dlpack_c_exchange_api__", nb::none());
    if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return;
    auto *interface =
        static_cast<const dlpack::ExchangeInterface *>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    if (interface->major == 1) read_ = interface->tensor_from_object;
    for (auto [name, text] : {std::pair{&is_neg_, "is_neg"},
                              {&storage_, "untyped_storage"},
                              {&nbytes_, "nbytes"},
                              {&storage_offset_, "storage_offset"}})
      *name = PyUnicode_InternFromString(text);
  }

  template <class Element>
  bool read(nanobind::handle object, dlpack::Tensor *tensor) const {
    const auto *type = reinterpret_cast<const PyObject *>(Py_TYPE(object.ptr()));
    if (!read_ || (type != tensor_ && type != parameter_)) return false;
    if (read_(object.ptr(), tensor)) {
      PyErr_Clear();  // sparse, nested and meta tensors, for example
      return false;
    }
    constexpr int cpu = 1, integer = 0, floating = 2, boolean = 6;
    constexpr int code = std::is_same_v<Element, float>     ? floating
                         : std::is_same_v<Element, int64_t> ? integer
                                                            : boolean;
    return tensor->device_type == cpu && tensor->type_code == code && tensor->type_bits == 8 * sizeof(Element) &&
           tensor->type_lanes == 1 && tensor->data && !tensor->byte_offset;
  }

  static nanobind::object call(nanobind::handle object, PyObject *method) {
    PyObject *self = object.ptr();
    PyObject *result = PyObject_VectorcallMethod(method, &self, 1, nullptr);
    if (!result) nanobind::raise_python_error();
    return nanobind::steal(result);
  }
  // Returns true for a lazy negative view, whose memory has the values with the other sign.
  bool is_negative(nanobind::handle object) const { return call(object, is_neg_).ptr() != Py_False; }
  // Returns false for a tensor whose storage has been freed or shrunk (fully_shard and offloading do so with weights).
  bool is_allocated(nanobind::handle object, int64_t count, int64_t element_size) const {
    const auto bytes = nanobind::cast<int64_t>(call(call(object, storage_), nbytes_));
    return (nanobind::cast<int64_t>(call(object, storage_offset_)) + count) * element_size <= bytes;
  }

  PyObject *tensor_ = nullptr, *parameter_ = nullptr;
  PyObject *is_neg_ = nullptr, *storage_ = nullptr, *nbytes_ = nullptr, *storage_offset_ = nullptr;
  int (*read_)(void *, dlpack::Tensor *) = nullptr;
};

}  // namespace charloom
