// The Python module charloom._codec: addresses and sizes in, nothing out. charloom.codec.native is its only user and
// answers for every pointer; shapes, types and ranges are checked there.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "aligned_block.h"
#include "network.h"

namespace nb = nanobind;
using namespace charloom;

namespace {

using Address = uintptr_t;
using MatrixArrays = std::tuple<Address, Address, int, int>;  // weights, multipliers, shifts
// hidden, input, bias, candidate bias; zeros where there is none
using LayerArrays = std::tuple<MatrixArrays, MatrixArrays, Address, Address>;

IntegerMatrix matrix_at(const MatrixArrays &a) {
  return {(const int8_t *)std::get<0>(a), (const int16_t *)std::get<1>(a), std::get<2>(a), std::get<3>(a)};
}

// An integer model, packed for one instruction set. Any number of threads may step with it.
class Network {
 public:
  // shape: (cell, hidden, vocabulary, begin token)
  Network(const std::string &name, std::tuple<int, long, long, long> shape, Address token_table,
          const std::vector<LayerArrays> &layers, const MatrixArrays &output, Address output_bias, Address tanh,
          Address exp2)
      : functions_(named(name)), vocabulary_(std::get<2>(shape)), packed_([&] {
          std::vector<IntegerLayer> layer;
          for (const auto &[hidden, input, bias, candidate_bias] : layers)
            layer.push_back(
                {matrix_at(hidden), matrix_at(input), (const int32_t *)bias, (const int32_t *)candidate_bias});
          const IntegerWeights weights{(IntegerCell)std::get<0>(shape),
                                       std::get<1>(shape),
                                       (long)layers.size(),
                                       std::get<2>(shape),
                                       std::get<3>(shape),
                                       (const int16_t *)token_table,
                                       layer.data(),
                                       matrix_at(output),
                                       (const int32_t *)output_bias,
                                       (const int16_t *)tanh,
                                       (const int16_t *)exp2};
          return Packed(functions_, weights);
        }()) {}

  const CodecNetwork &functions() const { return functions_; }
  const void *packed() const { return packed_.block.data(); }
  long vocabulary() const { return vocabulary_; }

 private:
  struct Packed {
    Packed(const CodecNetwork &functions, const IntegerWeights &weights) : block(functions.packed_size(weights)) {
      functions.pack(weights, block.data());
    }
    AlignedBlock block;
  };

  static const CodecNetwork &named(const std::string &name) {
    for (const CodecNetwork *network : supported_networks())
      if (name == network->name) return *network;
    throw std::invalid_argument("no instruction set " + name);
  }

  const CodecNetwork &functions_;
  long vocabulary_;
  Packed packed_;
};

// What a number of lanes have read.
class Stream {
 public:
  Stream(const Network &network, long lanes)
      : network_(network),
        lanes_(lanes),
        state_(network.functions().state_size(network.packed(), lanes)),
        workspace_(network.functions().workspace_size(network.packed(), lanes)) {}

  void begin(Address frequencies) {
    network_.functions().begin(network_.packed(), lanes_, state_.data(), (uint32_t *)frequencies, workspace_.data());
  }

  // tokens: int32 (steps, lanes). frequencies: (lanes, vocabulary), after the last step those of the next token.
  void step(long steps, Address tokens, Address frequencies) {
    const int32_t *token = (const int32_t *)tokens;
    for (long i = 0; i < steps * lanes_; i++)
      if (token[i] >= network_.vocabulary()) throw std::out_of_range("no such token");
    nb::gil_scoped_release release;
    for (long t = 0; t < steps; t++)
      network_.functions().step(network_.packed(), lanes_, token + t * lanes_, state_.data(), (uint32_t *)frequencies,
                                workspace_.data());
  }

 private:
  const Network &network_;
  const long lanes_;
  AlignedBlock state_, workspace_;
};

}  // namespace

NB_MODULE(_codec, m) {
  nb::set_leak_warnings(false);  // what Python caches of this module lives until the process ends
  m.doc() = "The codec's native code; use it through charloom.codec.";
  nb::class_<Network>(m, "Network", "An integer model, packed for one instruction set.")
      .def(nb::init<const std::string &, std::tuple<int, long, long, long>, Address, const std::vector<LayerArrays> &,
                    const MatrixArrays &, Address, Address, Address>());
  nb::class_<Stream>(m, "Stream", "What a number of lanes have read.")
      .def(nb::init<const Network &, long>(), nb::keep_alive<1, 2>())
      .def("begin", &Stream::begin)
      .def("step", &Stream::step);
  m.def(
      "supported",
      [] {
        std::vector<std::string> names;
        for (const CodecNetwork *network : supported_networks()) names.emplace_back(network->name);
        return names;
      },
      "The instruction sets that this processor can run, the best last.");
}
