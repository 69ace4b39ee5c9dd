// The Python module charloom._codec: addresses and sizes in, nothing out. charloom.codec.native is its only user and
// answers for every pointer; shapes, types and ranges are checked there.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "engine_bindings.h"
#include "network_object.h"

namespace nb = nanobind;
using namespace charloom;

namespace {

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
  bind_engines(m);
  m.def(
      "supported",
      [] {
        std::vector<std::string> names;
        for (const CodecNetwork *network : supported_networks()) names.emplace_back(network->name);
        return names;
      },
      "The instruction sets that this processor can run, the best last.");
}
