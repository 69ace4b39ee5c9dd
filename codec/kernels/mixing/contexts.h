// The contexts that the next byte is predicted from: hashes of the preceding text.
//
// They are the last bytes (orders), the current and the previous word, and the position in the line: its field, its
// column and the text above. Lines and fields suit logs and records, and verse too. match.h predicts from longer
// repetitions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace charloom {

// Returns the upper half of a product, because its bits depend on the lower bits of both arguments too.
inline uint32_t hash(uint32_t a, uint32_t b) {
  uint64_t x = (uint64_t)a * 0x9E3779B1u + (uint64_t)b * 0x85EBCA77u + 0x27D4EB2Fu;
  x *= 0xD6E8FEB86659FD93ull;
  return (uint32_t)(x >> 32);
}

// The state of a lane's text, updated byte by byte.
struct TextState {
  uint32_t last4 = '\n', before4 = 0;    // the last four bytes, the latest lowest, and the four before
  uint32_t word = 0, previous_word = 0;  // hashes; 0 between words
  uint32_t mark = 0;                     // the last byte that is neither a letter nor a space
  uint32_t field = 0, in_field = 0;      // index of the field in its line, hash of its bytes
  size_t line = 0, line_above = 0;       // positions at which the lines start

  void update(uint8_t byte, size_t position_after) {
    before4 = before4 << 8 | last4 >> 24;
    last4 = last4 << 8 | byte;
    const uint8_t lower = byte | 32;
    const bool letter = (lower >= 'a' && lower <= 'z') || byte >= 128, digit = byte >= '0' && byte <= '9';
    if (letter) {
      word = hash(word, lower);
    } else {
      if (word) previous_word = word;
      word = 0;
      if (byte != ' ') mark = byte;
    }
    if (byte == '\n') {
      line_above = line;
      line = position_after;
      field = in_field = 0;
    } else if (memchr(" [:=/.(,\"", byte, 9)) {
      field++;
      in_field = byte;
    } else {
      in_field = hash(in_field, digit ? '0' : byte);  // all digits are equal: numbers vary, their shape does not
    }
  }
};

// Contexts 0 to kOrders - 1 are the orders. The first kFull contexts have full slots, with probabilities beside bit
// histories.
enum : int { kOrders = 6, kFull = 5, kContexts = 13 };

// tree: number of the tree of the next byte. Contexts that do not determine it include it, because what they have seen
// depends on it.
inline void make_contexts(const TextState &t, const uint8_t *text, size_t position, uint32_t tree, uint32_t *context) {
  const uint32_t last = t.last4 & 0xff, column = (uint32_t)(position - t.line);
  const uint32_t above = t.line_above + column < t.line ? text[t.line_above + column] | 256 : 0;
  const uint32_t of[kContexts] = {
      tree,
      last,
      t.last4 & 0xffff,
      t.last4 & 0xffffff,
      t.last4,
      hash(t.last4, t.before4 & 0xffff),
      hash(t.word, last),
      hash(t.word, t.previous_word) + tree,
      hash(t.word ^ 0x5555, hash(t.previous_word, t.mark)) + tree,
      hash(t.field, t.in_field) + tree,
      hash(above, last | t.field << 8),
      hash(t.field * 3 + 1, t.last4 & 0xffff),
      hash(column, last << 8 | 7),
  };
  // The index keeps equal values of different contexts apart, which share the hash tables.
  for (int i = 0; i < kContexts; i++) context[i] = hash(of[i], (uint32_t)i * 77 + 1);
}

}  // namespace charloom
