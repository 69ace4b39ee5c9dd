// The last place where the text went as it goes here: what followed there is likely to follow again.
#pragma once
#include "codec/mixing/contexts.h"
#include "codec/mixing/state_maps.h"

namespace charloom {

// Where the bytes of all lanes stand: the text learnt from first, then each lane's. Told apart because one lane may
// follow what another wrote, but no further than that has got.
struct TextBuffer {
  uint8_t *text;
  size_t primed, lane_capacity;
  const size_t *written;  // of each lane: where its next byte goes

  bool has(size_t position) const {
    return position < primed || position < written[(position - primed) / lane_capacity];
  }
};

// Follows one earlier place, as a lane goes. min_length: bytes that must agree before a place is followed.
class Match {
 public:
  enum : int { kHashBits = 18, kLengths = 15, kMisses = 4, kMaps = kLengths * kMisses * 2 * 8 };

  // After a byte: goes on, or looks for a new place. begin: where what may be compared begins. places: by the hash of
  // the bytes before it, the last place; keep(&place) is called before one is changed.
  template <class Keep>
  void read(const TextBuffer &buffer, size_t position, size_t begin, int min_length, uint32_t *places, Keep keep) {
    const uint8_t *text = buffer.text;
    if (at_ && buffer.has(at_)) {
      if (text[at_] == text[position - 1]) {
        if (length_ < 65535) length_++;
      } else {
        length_ = 0;
        if (++misses_ >= 8) at_ = (size_t)-1;
      }
      at_++;
    } else {
      at_ = 0;
    }
    if (length_ > 20 && misses_) misses_--;
    if (position - begin < (size_t)min_length) return;
    uint32_t &place = places[key_];
    if (length_ < min_length && place && buffer.has(place - 1)) {
      int n = 0;
      while (n < 40 && (size_t)n < place && (size_t)n < position - begin &&
             text[place - 1 - n] == text[position - 1 - n])
        n++;
      if (n >= min_length && n > length_) {
        at_ = place;
        length_ = n;
        misses_ = 0;
      }
    }
    keep(&place);
    place = (uint32_t)position;
  }

  // After each byte before read(): where it is going to look. The place and then what stands there are fetched into the
  // cache while there is other work.
  void fetch_place(const uint8_t *text, size_t position, size_t begin, int min_length, const uint32_t *places) {
    if (position - begin < (size_t)min_length) return;
    key_ = 0;
    for (int i = 1; i <= min_length; i++) key_ = (key_ + text[position - i] + 1) * 0x2F0B4C47u;
    key_ >>= 32 - kHashBits;
    __builtin_prefetch(places + key_, 1);
  }
  void fetch_text(const uint8_t *text, const uint32_t *places) const { __builtin_prefetch(text + places[key_]); }

  // The byte expected, | 256; 0 where there is none.
  int expected(const TextBuffer &buffer) const { return at_ && buffer.has(at_) ? buffer.text[at_] | 256 : 0; }
  int length_class() const {
    return length_ < 4 ? length_ > 0 : length_ < 16 ? length_ / 2 : length_ < 40 ? 4 + length_ / 4 : 14;
  }
  // What has come of such an expectation: which of kMaps probabilities.
  int map(int bit_expected, int bit) const {
    return ((length_class() * kMisses + (misses_ < kMisses ? misses_ : kMisses - 1)) * 2 + bit_expected) * 8 + bit;
  }
  static int length_class_of(int map) { return map / (8 * 2 * kMisses); }
  static int bit_expected_of(int map) { return map / 8 % 2; }

 private:
  size_t at_ = 0;  // what is expected next; 0: nothing
  int length_ = 0, misses_ = 0;
  uint32_t key_ = 0;  // of the last bytes, in `places`
};

}  // namespace charloom
