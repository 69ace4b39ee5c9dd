// Texts on their way through an engine: in lanes that take turns, a byte each, or record by record.
//
// Lanes is what an engine does with one byte: encode(lane, byte, encoder) and decode(lane, decoder) -> byte.
#pragma once
#include <vector>

#include "codec/coding/range_coder.h"

namespace charloom {

using Payload = std::vector<uint8_t>;

template <class Lanes>
class Session {
 public:
  template <class... Arguments>
  explicit Session(long lanes, Arguments &&...arguments)
      : lanes_(std::forward<Arguments>(arguments)..., lanes), count_(lanes) {
    lanes_.begin();
  }
  Session(Session &&) = delete;

  Payload encode(const uint8_t *data, size_t size) {
    Payload payload;
    Encoder encoder(payload);
    for (size_t i = 0; i < size; i++) lanes_.encode(next(), data[i], encoder);
    encoder.finish();
    return payload;
  }

  // Throws std::invalid_argument where the payload cannot be right.
  Payload decode(const uint8_t *payload, size_t payload_size, size_t size) {
    Payload data(size);
    Decoder decoder(payload, payload_size);
    for (uint8_t &byte : data) byte = lanes_.decode(next(), decoder);
    decoder.finish();
    return data;
  }

 private:
  long next() {
    const long lane = next_;
    next_ = next_ + 1 < count_ ? next_ + 1 : 0;
    return lane;
  }

  Lanes lanes_;
  long count_, next_ = 0;
};

// Each record begins as a text of its own and ends with a line feed; whether a line feed is the end follows it.
template <class Lanes>
class RecordSession {
 public:
  template <class... Arguments>
  explicit RecordSession(Arguments &&...arguments) : lanes_(std::forward<Arguments>(arguments)..., 1) {}
  RecordSession(RecordSession &&) = delete;

  Payload encode(const uint8_t *record, size_t size) {
    const Forgets afterwards{lanes_};
    Payload payload;
    Encoder encoder(payload);
    lanes_.begin();
    for (size_t i = 0; i <= size; i++) {
      const uint8_t byte = i < size ? record[i] : '\n';
      lanes_.encode(0, byte, encoder);
      if (byte == '\n') encoder.encode_bit(i == size, kIsEnd);
    }
    encoder.finish();
    return payload;
  }

  // Throws std::invalid_argument where the payload cannot be right or the record is longer than `limit`.
  Payload decode(const uint8_t *payload, size_t payload_size, size_t limit) {
    const Forgets afterwards{lanes_};
    Payload record;
    Decoder decoder(payload, payload_size);
    lanes_.begin();
    for (;;) {
      const uint8_t byte = lanes_.decode(0, decoder);
      if (byte == '\n' && decoder.decode_bit(kIsEnd)) break;
      if (record.size() >= limit) throw std::invalid_argument("longer than records may be");
      record.push_back(byte);
    }
    decoder.finish();
    return record;
  }

 private:
  // Also where a record cannot be coded to its end.
  struct Forgets {
    Lanes &lanes;
    ~Forgets() { lanes.forget(); }
  };

  static constexpr int kIsEnd = 65472;  // the probability, of 16 bits, that a line feed ends its record

  Lanes lanes_;
};

}  // namespace charloom
