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
  int bit = 0, partial = 1;  // number of known bits of the byte; these bits after a leading 1
};

}  // namespace charloom
