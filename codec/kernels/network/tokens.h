// The tokens that agree with known bytes.
//
// Tokens are byte strings, none of which is a prefix of another (as in UTF-8), sorted by their bytes. Those that agree
// with the known bytes of the next token, and with a range of the next byte, are then a range: its probability is a
// difference of cumulative frequencies.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace charloom {

class Tokens {
 public:
  static constexpr int kNone = -1;
  struct Prefix {
    int first, last, depth;  // the range of tokens that agree with the known bytes, and the number of these

    bool fits_none() const { return first == last; }
  };
  struct Step {
    Prefix prefix;
    int token;  // the id of the token that the byte completes, or kNone
  };

  // Token i is bytes[offsets[i]] up to bytes[offsets[i + 1]]. An empty token stands for no bytes and is left out.
  Tokens(const uint8_t *bytes, const int32_t *offsets, int count)
      : bytes_(bytes, bytes + offsets[count]), offsets_(offsets, offsets + count + 1) {
    for (int i = 0; i < count; i++)
      if (offsets[i] < offsets[i + 1]) order_.push_back(i);
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
      return std::lexicographical_compare(bytes + offsets[a], bytes + offsets[a + 1], bytes + offsets[b],
                                          bytes + offsets[b + 1]);
    });
    if (order_.empty()) throw std::invalid_argument("no token has bytes");
    for (int byte = 0; byte <= 256; byte++) first_places_[byte] = search(start(), byte);
  }

  int count() const { return (int)order_.size(); }
  const int *ids() const { return order_.data(); }  // sorted by bytes
  int byte(int place, int depth) const { return bytes_[offsets_[order_[place]] + depth]; }

  Prefix start() const { return {0, count(), 0}; }
  // Returns the place of the first token that agrees with a prefix, and whose next byte is at least `byte`, 0 to 256;
  // the end of the range if there is none.
  int place(const Prefix &prefix, int byte) const {
    // Most bytes start a token.
    return prefix.depth ? search(prefix, byte) : first_places_[byte];
  }
  // Returns the prefix after a byte: the start if the byte completes a token.
  Step after(const Prefix &prefix, int byte) const {
    const Prefix next = {place(prefix, byte), place(prefix, byte + 1), prefix.depth + 1};
    if (next.fits_none()) return {next, kNone};
    // No token is a prefix of another, so that a complete token is the only one.
    const int id = order_[next.first];
    if (offsets_[id + 1] - offsets_[id] > next.depth) return {next, kNone};
    return {start(), id};
  }

 private:
  int search(const Prefix &prefix, int next) const {
    const auto found = std::partition_point(order_.begin() + prefix.first, order_.begin() + prefix.last,
                                            [&](const int &id) { return bytes_[offsets_[id] + prefix.depth] < next; });
    return int(found - order_.begin());
  }

  std::vector<uint8_t> bytes_;
  std::vector<int32_t> offsets_;
  std::vector<int> order_;
  int first_places_[257];
};

}  // namespace charloom
