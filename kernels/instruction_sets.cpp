#include "instruction_sets.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace charloom {

extern const Kernels scalar;
#if defined(__x86_64__)
extern const Kernels avx2, avx512, avx512bf16;
#if defined(CHARLOOM_HAS_AMX)
extern const Kernels amx;
#endif

#if defined(CHARLOOM_HAS_AMX)
// Linux gives a process the tiles' state on request only.
static bool may_use_tiles() {
#if defined(CHARLOOM_EMULATED_TILES)
  return true;
#elif defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return __builtin_cpu_supports("amx-bf16") && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}
#endif
#endif

std::vector<const Kernels *> supported_kernels() {
  std::vector<const Kernels *> list{&scalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) list.push_back(&avx2);
  if (!__builtin_cpu_supports("x86-64-v4")) return list;
  list.push_back(&avx512);
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vnni")) return list;
  list.push_back(&avx512bf16);
#if defined(CHARLOOM_HAS_AMX)
  if (may_use_tiles()) list.push_back(&amx);
#endif
#endif
  return list;
}

}  // namespace charloom
