#include "network.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace charloom {

extern const CodecNetwork scalar, avx2, avx512vnni, amx;  // those that were compiled, see CMakeLists.txt

#if defined(CHARLOOM_HAS_amx)
// Linux gives a process the tiles' state on request only.
static bool may_use_tiles() {
#if defined(CHARLOOM_EMULATED_TILES)
  return true;
#elif defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return __builtin_cpu_supports("amx-int8") && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}
#endif

std::vector<const CodecNetwork *> supported_networks() {
  std::vector<const CodecNetwork *> list{&scalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool vnni = __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni");
#if defined(CHARLOOM_HAS_avx2)
  if (__builtin_cpu_supports("x86-64-v3")) list.push_back(&avx2);
#endif
#if defined(CHARLOOM_HAS_avx512vnni)
  if (vnni) list.push_back(&avx512vnni);
#endif
#if defined(CHARLOOM_HAS_amx)
  if (vnni && may_use_tiles()) list.push_back(&amx);
#endif
  (void)vnni;
#endif
  return list;
}

}  // namespace charloom
