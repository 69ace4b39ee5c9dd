// The match model, as in lpaq: predicts the byte that followed the last occurrence of the current context. contexts.h
// has the contexts of fixed length.
#pragma once
#include "mixing/contexts.h"
#include "mixing/state_maps.h"

namespace charloom {

// The bytes of all lanes: first the priming text, then the text of each lane. A lane may match what another lane has
// read, but no further than that lane has got, hence the limits of each.
struct TextBuffer {
  uint8_t *text;
  size_t primed, lane_capacity;
  const size_t *written;  // of each lane: position of its next byte

  bool has(size_t position) const {
    return position < primed || position < written[(position - primed) / lane_capacity];
  }
};

// The match of one lane. min_length: bytes that must agree before a match is followed.
class Match {
 public:
  enum : int { kHashBits = 18, kLengths = 15, kMisses = 4, kMaps = kLengths * kMisses * 2 * 8 };

  // Updates the match after a byte: continues it, or looks for a new one.
  //
  // start: position from which bytes may be compared. table: the last position for each hash of min_length bytes.
  // save(&entry) is called before an entry is changed.
  template <class Save>
  void update(const TextBuffer &buffer, size_t position, size_t start, int min_length, uint32_t *table, Save save) {
    const uint8_t *text = buffer.text;
    if (pointer_ && buffer.has(pointer_)) {
      if (text[pointer_] == text[position - 1]) {
        if (length_ < 65535) length_++;
      } else {
        length_ = 0;
        // The increment below makes it 0: the match is given up.
        if (++misses_ >= 8) pointer_ = (size_t)-1;
      }
      pointer_++;
    } else {
      pointer_ = 0;
    }
    if (length_ > 20 && misses_) misses_--;
    if (position - start < (size_t)min_length) return;
    uint32_t &entry = table[key_];
    if (length_ < min_length && entry && buffer.has(entry - 1)) {
      int n = 0;
      // 40 bytes are enough: all longer matches are of the same class.
      while (n < 40 && (size_t)n < entry && (size_t)n < position - start &&
             text[entry - 1 - n] == text[position - 1 - n])
        n++;
      if (n >= min_length && n > length_) {
        pointer_ = entry;
        length_ = n;
        misses_ = 0;
      }
    }
    save(&entry);
    entry = (uint32_t)position;
  }

  // To be called after each byte, some time before update(): computes the hash and prefetches its entry; prefetch_text
  // then prefetches the text at that entry. The cache misses thus overlap with other work.
  void prefetch_entry(const uint8_t *text, size_t position, size_t start, int min_length, const uint32_t *table) {
    if (position - start < (size_t)min_length) return;
    key_ = 0;
    for (int i = 1; i <= min_length; i++) key_ = (key_ + text[position - i] + 1) * 0x2F0B4C47u;
    key_ >>= 32 - kHashBits;
    __builtin_prefetch(table + key_, 1);
  }
  void prefetch_text(const uint8_t *text, const uint32_t *table) const { __builtin_prefetch(text + table[key_]); }

  // Returns the predicted byte | 256, or 0 if there is no match.
  int expected(const TextBuffer &buffer) const {
    return pointer_ && buffer.has(pointer_) ? buffer.text[pointer_] | 256 : 0;
  }
  // Returns a class of the length, 0 to 14: fine for short matches, coarse for long ones.
  int length_class() const {
    return length_ < 4 ? length_ > 0 : length_ < 16 ? length_ / 2 : length_ < 40 ? 4 + length_ / 4 : 14;
  }
  // Returns which of kMaps StateMaps learns how often such a prediction was right.
  int map(int bit_expected, int bit) const {
    return ((length_class() * kMisses + (misses_ < kMisses ? misses_ : kMisses - 1)) * 2 + bit_expected) * 8 + bit;
  }
  static int length_class_of(int map) { return map / (8 * 2 * kMisses); }
  static int bit_expected_of(int map) { return map / 8 % 2; }

 private:
  size_t pointer_ = 0;  // position of the predicted byte; 0: no match
  int length_ = 0, misses_ = 0;
  uint32_t key_ = 0;  // hash of the last bytes, index of `table`
};

}  // namespace charloom
