// A range coder: what it codes are parts of the range 0 to 2^bits, or bits with their probabilities.
//
// The range is of 64 bits and is kept above 2^48, so that rounding costs nothing that can be measured. A carry goes
// into the bytes that are already out. Missing bytes at the end are zeros: the end is as short as it can be.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace charloom {

class Encoder {
 public:
  explicit Encoder(std::vector<uint8_t> &out) : out_(out), begin_(out.size()) {}

  // The part from `start`, `size` long, of `total` (at most 2^32).
  void encode(uint64_t start, uint64_t size, uint64_t total) {
    const uint64_t unit = range_ / total;
    narrow(start * unit, start + size < total ? size * unit : range_ - start * unit);
  }
  // p: the probability, of 16 bits, that it is 1.
  void encode_bit(int bit, int p) {
    const uint64_t ones = (range_ >> 16) * (uint64_t)p;
    narrow(bit ? 0 : ones, bit ? ones : range_ - ones);
  }

  // Ends with the number within the range that has the fewest bytes.
  void finish() {
    for (int bytes = 0; bytes <= 8; bytes++) {
      const uint64_t below = bytes == 0 ? ~0ull : bytes == 8 ? 0 : ~0ull >> (8 * bytes);
      const uint64_t end = (low_ + below) & ~below;  // rounded up; 0 where that carries
      const uint64_t way = end - low_;
      if (way >= range_) continue;
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
    while (range_ < 1ull << 48) {
      out_.push_back((uint8_t)(low_ >> 56));
      low_ <<= 8;
      range_ <<= 8;
    }
  }
  void carry() {
    for (size_t i = out_.size(); i-- > begin_ && ++out_[i] == 0;) {
    }
  }

  std::vector<uint8_t> &out_;
  size_t begin_;
  uint64_t low_ = 0, range_ = ~0ull;
};

class Decoder {
 public:
  Decoder(const uint8_t *data, size_t size) : next_(data), end_(data + size) {
    for (int i = 0; i < 8; i++) code_ = code_ << 8 | take();
  }

  // Where in `total` the code lies; the part that it lies in is then passed to skip().
  uint64_t find(uint64_t total) {
    const uint64_t at = code_ / (range_ / total);
    return at < total ? at : total - 1;
  }
  void skip(uint64_t start, uint64_t size, uint64_t total) {
    const uint64_t unit = range_ / total;
    narrow(start * unit, start + size < total ? size * unit : range_ - start * unit);
  }
  int decode_bit(int p) {
    const uint64_t ones = (range_ >> 16) * (uint64_t)p;
    const int bit = code_ < ones;
    narrow(bit ? 0 : ones, bit ? ones : range_ - ones);
    return bit;
  }
  // Throws where bytes are left over, which an Encoder would not have written.
  void finish() const {
    if (next_ != end_) throw std::invalid_argument("the data go on after their end");
  }

 private:
  void narrow(uint64_t start, uint64_t size) {
    code_ -= start;
    range_ = size;
    while (range_ < 1ull << 48) {
      code_ = code_ << 8 | take();
      range_ <<= 8;
    }
  }
  // Throws where more is missing than an Encoder leaves out: the data are damaged.
  uint64_t take() {
    if (next_ < end_) return *next_++;
    if (++missing_ > kMostMissing) throw std::invalid_argument("the data end too early");
    return 0;
  }

  static constexpr size_t kMostMissing = 8;  // what is looked ahead
  const uint8_t *next_, *end_;
  size_t missing_ = 0;
  uint64_t code_ = 0, range_ = ~0ull;
};

}  // namespace charloom
