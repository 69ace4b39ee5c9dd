// The Python module charloom_codec._codec. Its only caller, charloom_codec.engines.native, guarantees every pointer of
// a network: it checks shapes, dtypes and ranges.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "coding/coders.h"
#include "coding/sessions.h"

namespace nb = nanobind;
using namespace charloom;

namespace {

const uint8_t *data_of(const nb::bytes &bytes) { return (const uint8_t *)bytes.data(); }
nb::bytes bytes_of(const Payload &payload) { return nb::bytes(payload.data(), payload.size()); }

// A session is used by one thread at a time; other threads run meanwhile, since the interpreter lock is released.
template <class Coder>
nb::bytes encode(Coder &coder, const nb::bytes &data) {
  Payload payload;
  {
    nb::gil_scoped_release release;
    payload = coder.encode(data_of(data), data.size());
  }
  return bytes_of(payload);
}

// Returns two float32 for each byte and, of a record, for its end.
template <class Coder>
nb::bytes measure(Coder &coder, const nb::bytes &data) {
  Costs costs;
  {
    nb::gil_scoped_release release;
    costs = coder.measure(data_of(data), data.size());
  }
  return nb::bytes(costs.data(), costs.size() * sizeof(float));
}

// size: bytes of the data, or of the longest record.
template <class Coder>
nb::bytes decode(Coder &coder, const nb::bytes &payload, size_t size) {
  Payload data;
  {
    nb::gil_scoped_release release;
    data = coder.decode(data_of(payload), payload.size(), size);
  }
  return bytes_of(data);
}

using Fast = Session<FastLanes>;
using FastRecords = RecordSession<FastLanes>;
using Mixed = Session<MixingLanes>;
using MixedRecords = RecordSession<MixingLanes>;

// Returns int16 rows.
nb::bytes inspect(Mixed &session, const nb::bytes &data) {
  std::vector<int16_t> rows;
  {
    nb::gil_scoped_release release;
    rows = session.inspect(data_of(data), data.size());
  }
  return nb::bytes(rows.data(), rows.size() * sizeof(int16_t));
}

// The state that all mixing sessions start from, see prime() in coders.h.
class Mixing {
 public:
  // corrector: null for none.
  Mixing(const Network &network, int version, const Corrector *corrector, int full_bits, int light_bits,
         const nb::bytes &text, size_t silent, bool records)
      : network_(network), rules_(rules_of(version)), corrector_(corrector) {
    nb::gil_scoped_release release;
    primed_ = prime(network, rules_, corrector, full_bits, light_bits, data_of(text), text.size(), silent, records);
  }

  std::unique_ptr<Mixed> session(long lanes, size_t capacity) {
    nb::gil_scoped_release release;
    return std::make_unique<Mixed>(lanes, network_, rules_, corrector_, *primed_, kMaxUndoBytes, capacity);
  }
  std::unique_ptr<MixedRecords> records(size_t capacity) {
    nb::gil_scoped_release release;
    return std::make_unique<MixedRecords>(network_, rules_, corrector_, *primed_, SIZE_MAX, capacity);
  }

 private:
  // A session that has changed more than this discards its memory instead of restoring it.
  static constexpr size_t kMaxUndoBytes = 4 << 20;

  const Network &network_;
  const MixingRules &rules_;
  const Corrector *const corrector_;
  std::unique_ptr<Primed> primed_;
};

using Address = uintptr_t;
using MatrixArrays = std::tuple<Address, Address, int, int>;  // weights, multipliers, shifts
// hidden, input, bias, candidate bias; zeros for arrays that the layer does not have
using LayerArrays = std::tuple<MatrixArrays, MatrixArrays, Address, Address>;

IntegerMatrix matrix_at(const MatrixArrays &a) {
  const auto [weights, multipliers, first_shift, second_shift] = a;
  return {(const int8_t *)weights, (const int16_t *)multipliers, first_shift, second_shift};
}

// shape: (cell, hidden, vocabulary, start token)
void make_network(Network *self, const std::string &name, std::tuple<int, long, long, long> shape, Address token_table,
                  const std::vector<LayerArrays> &arrays, const MatrixArrays &output, Address output_bias, Address tanh,
                  Address exp2, Address token_bytes, Address token_offsets) {
  const auto [cell, hidden_size, vocabulary, start_token] = shape;
  std::vector<IntegerLayer> layers;
  for (const auto &[hidden, input, bias, candidate_bias] : arrays)
    layers.push_back({matrix_at(hidden), matrix_at(input), (const int32_t *)bias, (const int32_t *)candidate_bias});
  const IntegerWeights weights{(CellKind)cell,
                               hidden_size,
                               (long)layers.size(),
                               vocabulary,
                               start_token,
                               (const int16_t *)token_table,
                               layers.data(),
                               matrix_at(output),
                               (const int32_t *)output_bias,
                               (const int16_t *)tanh,
                               (const int16_t *)exp2};
  new (self) Network(name, weights, (const uint8_t *)token_bytes, (const int32_t *)token_offsets);
}

// See Corrector. The arrays are copied.
void make_corrector(Corrector *self, Address inputs, Address rows, Address output, int output_bias,
                    Address log_counts) {
  new (self) Corrector((const int16_t *)inputs, (const int32_t *)rows, (const int16_t *)output, output_bias,
                       (const int16_t *)log_counts);
}

template <class Coder>
nb::class_<Coder> bind_session(nb::module_ &m, const char *name) {
  return nb::class_<Coder>(m, name)
      .def("encode", &encode<Coder>)
      .def("measure", &measure<Coder>)
      .def("decode", &decode<Coder>);
}

}  // namespace

NB_MODULE(_codec, m) {
  nb::set_leak_warnings(false);  // Python's caches keep references to this module until the process ends
  m.doc() = "The codec's native code, to be used through charloom.codec.";
  nb::dict cells;
  for (const NamedCell &cell : kCells) cells[cell.name] = nb::make_tuple((int)cell.kind, cell.gates);
  m.attr("CELLS") = cells;
  const int *values = Corrector::kValues;
  m.attr("CORRECTOR_SIZES") =
      nb::make_tuple(kCorrectorInputs, kCorrectorUnits, values[0], values[1], values[2], values[3]);
  nb::class_<Network>(m, "Network", "An integer model, packed for one instruction set.").def("__init__", &make_network);
  nb::class_<Corrector>(m, "Corrector", "A feed-forward network that corrects the predictions of the mixture.")
      .def("__init__", &make_corrector);
  bind_session<Fast>(m, "FastSession")
      .def(
          "__init__", [](Fast *self, const Network &network, long lanes) { new (self) Fast(lanes, network); },
          nb::keep_alive<1, 2>());
  bind_session<FastRecords>(m, "FastRecords").def(nb::init<const Network &>(), nb::keep_alive<1, 2>());
  bind_session<Mixed>(m, "MixingSession").def("inspect", &inspect);
  bind_session<MixedRecords>(m, "MixingRecords");
  nb::class_<Mixing>(m, "Mixing", "The state that all mixing sessions start from: tables, and the priming text.")
      .def(nb::init<const Network &, int, const Corrector *, int, int, const nb::bytes &, size_t, bool>(),
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 4>(), nb::arg("network"), nb::arg("version"),
           nb::arg("corrector").none(), nb::arg("full_bits"), nb::arg("light_bits"), nb::arg("text"), nb::arg("silent"),
           nb::arg("records"))
      .def("session", &Mixing::session, nb::keep_alive<0, 1>())
      .def("records", &Mixing::records, nb::keep_alive<0, 1>());
  m.def(
      "supported",
      [] {
        std::vector<std::string> names;
        for (const CodecKernels *kernels : supported_codec_kernels()) names.emplace_back(kernels->name);
        return names;
      },
      "Returns the names of the instruction sets that this processor supports, the fastest last.");
}
