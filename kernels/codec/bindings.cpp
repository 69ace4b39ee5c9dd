// The Python module charloom._codec. charloom.codec.engines.native is its only user and answers for every pointer of a
// network; shapes, types and ranges are checked there.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "coders.h"
#include "sessions.h"

namespace nb = nanobind;
using namespace charloom;

namespace {

const uint8_t *data_of(const nb::bytes &bytes) { return (const uint8_t *)bytes.data(); }
nb::bytes bytes_of(const Payload &payload) { return nb::bytes(payload.data(), payload.size()); }

// Sessions are used by one thread at a time; others run meanwhile.
template <class Coder>
nb::bytes encode(Coder &coder, const nb::bytes &data) {
  Payload payload;
  {
    nb::gil_scoped_release release;
    payload = coder.encode(data_of(data), data.size());
  }
  return bytes_of(payload);
}

template <class Lanes>
nb::bytes decode(Session<Lanes> &session, const nb::bytes &payload, size_t size) {
  std::unique_ptr<uint8_t[]> data(new uint8_t[size]);
  {
    nb::gil_scoped_release release;
    session.decode(data_of(payload), payload.size(), data.get(), size);
  }
  return nb::bytes(data.get(), size);
}

template <class Lanes>
nb::bytes decode_record(RecordSession<Lanes> &session, const nb::bytes &payload, size_t limit) {
  Payload record;
  {
    nb::gil_scoped_release release;
    record = session.decode(data_of(payload), payload.size(), limit);
  }
  return bytes_of(record);
}

using Fast = Session<FastLanes>;
using FastRecords = RecordSession<FastLanes>;
using Mixed = Session<MixingLanes>;
using MixedRecords = RecordSession<MixingLanes>;

// What every mixing session begins with. See prime().
class Mixing {
 public:
  Mixing(const Network &network, int full_bits, int light_bits, const nb::bytes &text, size_t silent, bool records)
      : network_(network),
        primed_([&] {
          nb::gil_scoped_release release;
          return prime(network, full_bits, light_bits, data_of(text), text.size(), silent, records);
        }()),
        copies_(std::move(primed_.memory)) {}

  std::unique_ptr<Mixed> session(long lanes, size_t capacity) {
    nb::gil_scoped_release release;
    return std::make_unique<Mixed>(lanes, network_, copies_.take(kMostChanges), primed_.text, capacity, &copies_);
  }
  std::unique_ptr<MixedRecords> records(size_t capacity) {
    nb::gil_scoped_release release;
    return std::make_unique<MixedRecords>(network_, copies_.take(SIZE_MAX), primed_.text, capacity, &copies_);
  }

 private:
  static constexpr size_t kMostChanges = 4 << 20;

  const Network &network_;
  Primed primed_;
  Copies copies_;
};

template <class Coder, class Decode>
nb::class_<Coder> bind_session(nb::module_ &m, const char *name, Decode decode) {
  return nb::class_<Coder>(m, name).def("encode", &encode<Coder>).def("decode", decode);
}

}  // namespace

NB_MODULE(_codec, m) {
  nb::set_leak_warnings(false);  // what Python caches of this module lives until the process ends
  m.doc() = "The codec's native code; use it through charloom.codec.";
  nb::dict cells;
  for (const NamedCell &cell : kCells) cells[cell.name] = nb::make_tuple((int)cell.kind, cell.gates);
  m.attr("CELLS") = cells;
  nb::class_<Network>(m, "Network", "An integer model, packed for one instruction set.")
      .def(nb::init<const std::string &, std::tuple<int, long, long, long>, Address, const std::vector<LayerArrays> &,
                    const MatrixArrays &, Address, Address, Address, Address, Address>());
  bind_session<Fast>(m, "FastSession", &decode<FastLanes>)
      .def(
          "__init__", [](Fast *self, const Network &network, long lanes) { new (self) Fast(lanes, network); },
          nb::keep_alive<1, 2>());
  bind_session<FastRecords>(m, "FastRecords", &decode_record<FastLanes>)
      .def(
          "__init__", [](FastRecords *self, const Network &network) { new (self) FastRecords(network); },
          nb::keep_alive<1, 2>());
  bind_session<Mixed>(m, "MixingSession", &decode<MixingLanes>);
  bind_session<MixedRecords>(m, "MixingRecords", &decode_record<MixingLanes>);
  nb::class_<Mixing>(m, "Mixing", "What every mixing session begins with: tables, and a text that was read.")
      .def(nb::init<const Network &, int, int, const nb::bytes &, size_t, bool>(), nb::keep_alive<1, 2>())
      .def("session", &Mixing::session, nb::keep_alive<0, 1>())
      .def("records", &Mixing::records, nb::keep_alive<0, 1>());
  m.def(
      "supported",
      [] {
        std::vector<std::string> names;
        for (const CodecNetwork *network : supported_networks()) names.emplace_back(network->name);
        return names;
      },
      "The instruction sets that this processor can run, the best last.");
}
