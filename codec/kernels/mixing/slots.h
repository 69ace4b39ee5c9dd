// The slots of a lane's contexts: prefetched while other work is done, then looked up.
#pragma once
#include "mixing/lane.h"

namespace charloom {

// A context has a slot for the first four decisions of a byte, and one for the next four after each of them. `id`: of
// the node of the tree at which the slot starts.
inline uint32_t next_slot(uint32_t context, int id) { return hash(context, (uint32_t)id * 31 + 5); }

// Always inlined: GCC regards a function that only prefetches as one without effect, and removes calls of it.
[[gnu::always_inline]] inline void prefetch_slots(Memory &memory, const uint32_t *contexts) {
  for (int i = 0; i < kFull; i++) memory.prefetch_full(contexts[i]);
  for (int i = kFull; i < kContexts; i++) memory.prefetch_light(contexts[i]);
}

[[gnu::always_inline]] inline void prefetch_next_slots(Memory &memory, const Lane &lane, int id) {
  uint32_t contexts[kContexts];
  for (int i = 0; i < kContexts; i++) contexts[i] = next_slot(lane.context[i], id);
  prefetch_slots(memory, contexts);
}

inline void find_slots(Memory &memory, Lane &lane) {
  // The processor waits for all slots at once; in the loops below, it does not see beyond a mispredicted branch.
  for (int i = 0; i < kFull; i++) memory.touch_full(lane.context[i]);
  for (int i = kFull; i < kContexts; i++) memory.touch_light(lane.context[i]);
  for (int i = 0; i < kFull; i++) lane.full[i] = memory.find_full(lane.context[i]);
  for (int i = kFull; i < kContexts; i++) lane.light[i] = memory.find_light(lane.context[i]);
}

}  // namespace charloom
