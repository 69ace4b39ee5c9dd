// The engines for Python: bytes in, bytes out. charloom.codec.native_engines is their only user.
#include "engine_bindings.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "fast.h"
#include "mixing.h"
#include "network_object.h"
#include "sessions.h"

namespace nb = nanobind;

namespace charloom {
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

// What every mixing session begins with.
class Mixing {
 public:
  // speaker: null for no network. See prime().
  Mixing(const std::string &instruction_set, int full_bits, int light_bits, const Speaker *speaker, const uint8_t *text,
         size_t size, size_t silent, bool records)
      : mixer_(named(instruction_set).mixer),
        speaker_(speaker),
        primed_(prime(mixer_, speaker, {Memory(full_bits, light_bits), {}}, text, size, silent, records)),
        copies_(std::move(primed_.memory)) {}

  std::unique_ptr<Mixed> session(long lanes, size_t capacity) {
    nb::gil_scoped_release release;
    return std::make_unique<Mixed>(lanes, mixer_, speaker_, copies_.take(kMostChanges), primed_.text, capacity,
                                   &copies_);
  }
  std::unique_ptr<MixedRecords> records(size_t capacity) {
    nb::gil_scoped_release release;
    return std::make_unique<MixedRecords>(mixer_, speaker_, copies_.take(SIZE_MAX), primed_.text, capacity, &copies_);
  }

 private:
  static constexpr size_t kMostChanges = 4 << 20;

  const Mixer &mixer_;
  const Speaker *speaker_;
  Primed primed_;
  Copies copies_;
};

Speaker *make_speaker(const Network &network, const nb::bytes &token_bytes, const std::vector<int32_t> &offsets) {
  if (offsets.size() != (size_t)network.vocabulary() + 1 || offsets.back() != (int32_t)token_bytes.size())
    throw std::invalid_argument("tokens do not fit the network");
  return new Speaker{network.functions(), network.packed(), network.vocabulary(),
                     Tokens(data_of(token_bytes), offsets.data(), (int)network.vocabulary())};
}

}  // namespace

void bind_engines(nb::module_ &m) {
  nb::class_<Speaker>(m, "Speaker", "A network and the bytes of its tokens.")
      .def(
          "__init__",
          [](Speaker *self, const Network &network, const nb::bytes &token_bytes, const std::vector<int32_t> &offsets) {
            std::unique_ptr<Speaker> made(make_speaker(network, token_bytes, offsets));
            new (self) Speaker(std::move(*made));
          },
          nb::keep_alive<1, 2>());
  nb::class_<Fast>(m, "FastSession", "Lanes coded by the network alone.")
      .def(
          "__init__", [](Fast *self, const Speaker &speaker, long lanes) { new (self) Fast(lanes, &speaker); },
          nb::keep_alive<1, 2>())
      .def("encode", &encode<Fast>)
      .def("decode", &decode<FastLanes>);
  nb::class_<FastRecords>(m, "FastRecords", "Records coded by the network alone.")
      .def(
          "__init__", [](FastRecords *self, const Speaker &speaker) { new (self) FastRecords(&speaker); },
          nb::keep_alive<1, 2>())
      .def("encode", &encode<FastRecords>)
      .def("decode", &decode_record<FastLanes>);
  nb::class_<Mixed>(m, "MixingSession", "Lanes coded by the mixture.")
      .def("encode", &encode<Mixed>)
      .def("decode", &decode<MixingLanes>);
  nb::class_<MixedRecords>(m, "MixingRecords", "Records coded by the mixture.")
      .def("encode", &encode<MixedRecords>)
      .def("decode", &decode_record<MixingLanes>);
  nb::class_<Mixing>(m, "Mixing", "What every mixing session begins with: tables, and a text that was read.")
      .def(
          "__init__",
          [](Mixing *self, const std::string &instruction_set, int full_bits, int light_bits, const Speaker *speaker,
             const nb::bytes &text, size_t silent, bool records) {
            nb::gil_scoped_release release;
            new (self)
                Mixing(instruction_set, full_bits, light_bits, speaker, data_of(text), text.size(), silent, records);
          },
          nb::arg("instruction_set"), nb::arg("full_bits"), nb::arg("light_bits"), nb::arg("speaker").none(),
          nb::arg("text"), nb::arg("silent"), nb::arg("records"), nb::keep_alive<1, 5>())
      .def("session", &Mixing::session, nb::arg("lanes"), nb::arg("capacity"), nb::keep_alive<0, 1>())
      .def("records", &Mixing::records, nb::arg("capacity"), nb::keep_alive<0, 1>());
}

}  // namespace charloom
