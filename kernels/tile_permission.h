// Linux gives a process the state of AMX tiles on request only.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace charloom {

// has_tiles: Whether the processor has those that are wanted. Emulated ones are everywhere.
inline bool may_use_tiles([[maybe_unused]] bool has_tiles) {
#if defined(CHARLOOM_EMULATED_TILES)
  return true;
#elif defined(__x86_64__) && defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return has_tiles && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace charloom
