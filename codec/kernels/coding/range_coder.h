// A range coder: codes intervals of a range 0 to total, or bits with their probabilities.
//
// The state is `low` and `range` of 64 bits. Renormalization keeps the range at 2^48 or more, so that the rounding of
// probabilities costs nothing measurable. A carry is propagated into the bytes that are already written. Bytes that are
// missing at the end are zeros, so the end is as short as possible.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace charloom {

class Encoder {
 public:
  explicit Encoder(std::vector<uint8_t> &out) : out_(out), start_(out.size()) {}

  // Codes the interval at `start` of length `size` of 0 to `total` (at most 2^32). The last interval also gets what the
  // division leaves over.
  void encode(uint64_t start, uint64_t size, uint64_t total) {
    // At least 2^16, since the range is at least 2^48: no interval becomes empty.
    const uint64_t unit = range_ / total;
    narrow(start * unit, start + size < total ? size * unit : range_ - start * unit);
  }
  // p: the 16-bit probability that the bit is 1, from 1 to 65535, so that neither interval is empty.
  void encode_bit(int bit, int p) {
    const uint64_t ones = (range_ >> 16) * (uint64_t)p;
    narrow(bit ? 0 : ones, bit ? ones : range_ - ones);
  }

  // Writes the number within the range that has the fewest bytes.
  void finish() {
    for (int bytes = 0; bytes <= 8; bytes++) {
      const uint64_t below = bytes == 0 ? ~0ull : bytes == 8 ? 0 : ~0ull >> (8 * bytes);
      const uint64_t end = (low_ + below) & ~below;  // rounded up; 0 after a carry
      const uint64_t distance = end - low_;
      if (distance >= range_) continue;
      if (end < low_) carry();
      for (int i = 0; i < bytes; i++) out_.push_back((uint8_t)(end >> (56 - 8 * i)));
      return;
    }
  }

 private:
  void narrow(uint64_t start, uint64_t size) {
    low_ += start;
    if (low_ < start) carry();
    range_ = size;
    // Renormalization.
    while (range_ < 1ull << 48) {
      out_.push_back((uint8_t)(low_ >> 56));
      low_ <<= 8;
      range_ <<= 8;
    }
  }
  // Propagates a carry: bytes of 255 become 0 and pass it on.
  void carry() {
    for (size_t i = out_.size(); i-- > start_ && ++out_[i] == 0;) {
    }
  }

  std::vector<uint8_t> &out_;
  size_t start_;
  uint64_t low_ = 0, range_ = ~0ull;
};

// Has the interface of an encoder, but only adds up the bits that it would take, and those that were expected: the
// entropies of the choices.
class CostMeter {
 public:
  void encode(uint64_t, uint64_t size, uint64_t total) { bits_ += std::log2((double)total / (double)size); }
  void encode_bit(int bit, int p) {
    const int q = 65536 - p;
    const double bits_of_1 = 16 - std::log2((double)p), bits_of_0 = 16 - std::log2((double)q);
    bits_ += bit ? bits_of_1 : bits_of_0;
    expect((p * bits_of_1 + q * bits_of_0) / 65536);
  }
  // Adds the entropy of a choice that encode() codes.
  void expect(double bits) { expected_bits_ += bits; }

  double bits() const { return bits_; }
  double expected_bits() const { return expected_bits_; }

 private:
  double bits_ = 0, expected_bits_ = 0;
};

class Decoder {
 public:
  Decoder(const uint8_t *data, size_t size) : next_(data), end_(data + size) {
    for (int i = 0; i < 8; i++) code_ = code_ << 8 | next_byte();
  }

  // Returns the position of the code in 0 to `total`. The caller passes the interval that contains it to consume().
  uint64_t decode_target(uint64_t total) {
    const uint64_t at = code_ / (range_ / total);
    return at < total ? at : total - 1;
  }
  void consume(uint64_t start, uint64_t size, uint64_t total) {
    const uint64_t unit = range_ / total;
    narrow(start * unit, start + size < total ? size * unit : range_ - start * unit);
  }
  int decode_bit(int p) {
    const uint64_t ones = (range_ >> 16) * (uint64_t)p;
    const int bit = code_ < ones;
    narrow(bit ? 0 : ones, bit ? ones : range_ - ones);
    return bit;
  }
  // Throws std::invalid_argument if bytes are left over, which an Encoder would not have written.
  void finish() const {
    if (next_ != end_) throw std::invalid_argument("data follows the end of the payload");
  }

 private:
  void narrow(uint64_t start, uint64_t size) {
    code_ -= start;
    range_ = size;
    while (range_ < 1ull << 48) {
      code_ = code_ << 8 | next_byte();
      range_ <<= 8;
    }
  }
  // Throws std::invalid_argument if more bytes are missing than an Encoder omits: the data are damaged.
  uint64_t next_byte() {
    if (next_ < end_) return *next_++;
    if (++missing_ > kMaxMissing) throw std::invalid_argument("the data ends too early");
    return 0;
  }

  static constexpr size_t kMaxMissing = 8;  // bytes of look-ahead
  const uint8_t *next_, *end_;
  size_t missing_ = 0;
  uint64_t code_ = 0, range_ = ~0ull;
};

}  // namespace charloom
