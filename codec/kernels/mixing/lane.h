// The state of one text in the mixture.
#pragma once
#include "mixing/memory.h"

namespace charloom {

struct Lane {
  explicit Lane(size_t start) : start(start), position(start) { text.line = text.line_above = start; }

  size_t start, position;  // of its text in the buffer, and of its next byte
  TextState text;
  Match matches[kMatches];
  uint32_t context[kContexts];
  FullSlot *full[kFull];
  LightSlot *light[kContexts];
  const ByteTree *tree = nullptr;  // of the current byte
  int at = ByteTree::kRoot;        // the node of the next decision, or kBytes + the byte

  const ByteTree::Node &node() const { return (*tree)[at]; }
  bool has_byte() const { return ByteTree::is_byte(at); }
  uint8_t byte() const { return (uint8_t)(at - ByteTree::kBytes); }

  // Adds a decision. Returns whether the next one needs other slots, because those found have nodes for four.
  bool take(int bit) {
    at = node().next[bit];
    in_slot = in_slot * 2 + bit;
    const bool needs_slots = in_slot >= 16;
    if (needs_slots || has_byte()) in_slot = 1;
    return needs_slots && !has_byte();
  }
  int node_of_slot() const { return in_slot - 1; }
  bool is_at_end_of_slots() const { return in_slot >= 8; }

  int in_slot = 1;  // the decisions since the slots were found, after a leading 1
};

}  // namespace charloom
