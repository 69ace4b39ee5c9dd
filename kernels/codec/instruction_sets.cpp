#include "../tile_permission.h"
#include "network.h"

namespace charloom {

extern const CodecNetwork scalar, avx2, avx512vnni, amx;  // those that were compiled, see CMakeLists.txt

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
  if (vnni && may_use_tiles(__builtin_cpu_supports("amx-int8"))) list.push_back(&amx);
#endif
  (void)vnni;
#endif
  return list;
}

}  // namespace charloom
