// Sessions code texts with an engine of coders.h: blocks in lanes that take turns, one byte each (Session), or
// independent records (RecordSession).
//
// Lanes, the engine, has encode(lane, byte, encoder or cost meter) and decode(lane, decoder) -> byte.
#pragma once
#include <vector>

#include "coding/range_coder.h"

namespace charloom {

using Payload = std::vector<uint8_t>;
// Two values for each byte: the bits that encode() would take, and the bits that it was expected to take.
using Costs = std::vector<float>;

inline void append(Costs &costs, const CostMeter &meter) {
  costs.push_back((float)meter.bits());
  costs.push_back((float)meter.expected_bits());
}

template <class Lanes>
class Session {
 public:
  template <class... Arguments>
  explicit Session(long lanes, Arguments &&...arguments)
      : lanes_(std::forward<Arguments>(arguments)..., lanes), count_(lanes) {
    lanes_.start();
  }
  Session(Session &&) = delete;

  Payload encode(const uint8_t *data, size_t size) {
    Payload payload;
    Encoder encoder(payload);
    for (size_t i = 0; i < size; i++) lanes_.encode(next_lane(), data[i], encoder);
    encoder.finish();
    return payload;
  }

  // Adapts to the block as encode() does. Returns the costs of each byte.
  Costs measure(const uint8_t *data, size_t size) {
    Costs costs;
    costs.reserve(2 * size);
    for (size_t i = 0; i < size; i++) {
      CostMeter meter;
      lanes_.encode(next_lane(), data[i], meter);
      append(costs, meter);
    }
    return costs;
  }

  // Adapts to the block as encode() does. Returns rows as MixingLanes::inspect does.
  std::vector<int16_t> inspect(const uint8_t *data, size_t size) {
    std::vector<int16_t> rows;
    for (size_t i = 0; i < size; i++) lanes_.inspect(next_lane(), data[i], rows);
    return rows;
  }

  // Throws std::invalid_argument if the payload cannot be right.
  Payload decode(const uint8_t *payload, size_t payload_size, size_t size) {
    Payload data(size);
    Decoder decoder(payload, payload_size);
    for (uint8_t &byte : data) byte = lanes_.decode(next_lane(), decoder);
    decoder.finish();
    return data;
  }

 private:
  long next_lane() {
    const long lane = next_;
    next_ = next_ + 1 < count_ ? next_ + 1 : 0;
    return lane;
  }

  Lanes lanes_;
  long count_, next_ = 0;
};

// Each record is a text of its own that ends with a line feed. After each line feed a bit states whether it is the end.
template <class Lanes>
class RecordSession {
 public:
  template <class... Arguments>
  explicit RecordSession(Arguments &&...arguments) : lanes_(std::forward<Arguments>(arguments)..., 1) {}
  RecordSession(RecordSession &&) = delete;

  Payload encode(const uint8_t *record, size_t size) {
    const ResetGuard afterwards{lanes_};
    Payload payload;
    Encoder encoder(payload);
    lanes_.start();
    for (size_t i = 0; i <= size; i++) encode(record, size, i, encoder);
    encoder.finish();
    return payload;
  }

  // Returns the costs of each byte of the record, and of its end.
  Costs measure(const uint8_t *record, size_t size) {
    const ResetGuard afterwards{lanes_};
    Costs costs;
    costs.reserve(2 * (size + 1));
    lanes_.start();
    for (size_t i = 0; i <= size; i++) {
      CostMeter meter;
      encode(record, size, i, meter);
      append(costs, meter);
    }
    return costs;
  }

  // Throws std::invalid_argument if the payload cannot be right or the record is longer than `limit`.
  Payload decode(const uint8_t *payload, size_t payload_size, size_t limit) {
    const ResetGuard afterwards{lanes_};
    Payload record;
    Decoder decoder(payload, payload_size);
    lanes_.start();
    for (;;) {
      const uint8_t byte = lanes_.decode(0, decoder);
      if (byte == '\n' && decoder.decode_bit(kEndProbability)) break;
      if (record.size() >= limit) throw std::invalid_argument("the record is longer than the limit");
      record.push_back(byte);
    }
    decoder.finish();
    return record;
  }

 private:
  // Resets the lanes also if a record cannot be coded to its end.
  struct ResetGuard {
    Lanes &lanes;
    ~ResetGuard() { lanes.reset(); }
  };

  // Codes byte i of the record, or its end if i is `size`. Output: an Encoder or a CostMeter.
  template <class Output>
  void encode(const uint8_t *record, size_t size, size_t i, Output &output) {
    const uint8_t byte = i < size ? record[i] : '\n';
    lanes_.encode(0, byte, output);
    if (byte == '\n') output.encode_bit(i == size, kEndProbability);
  }

  static constexpr int kEndProbability = 65472;  // 16-bit probability that a line feed ends its record

  Lanes lanes_;
};

}  // namespace charloom
