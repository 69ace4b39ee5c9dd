#include "instruction_sets.h"

#include "tile_permission.h"

namespace charloom {

extern const Kernels scalar, avx2, avx512, avx512bf16, amx;  // those that were compiled, see CMakeLists.txt

std::vector<const Kernels *> supported_kernels() {
  std::vector<const Kernels *> list{&scalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v4 = __builtin_cpu_supports("x86-64-v4");
  const bool bf16 = v4 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
#if defined(CHARLOOM_HAS_avx2)
  if (__builtin_cpu_supports("x86-64-v3")) list.push_back(&avx2);
#endif
#if defined(CHARLOOM_HAS_avx512)
  if (v4) list.push_back(&avx512);
#endif
#if defined(CHARLOOM_HAS_avx512bf16)
  if (bf16) list.push_back(&avx512bf16);
#endif
#if defined(CHARLOOM_HAS_amx)
  if (bf16 && may_use_tiles(__builtin_cpu_supports("amx-bf16"))) list.push_back(&amx);
#endif
  (void)v4, (void)bf16;
#endif
  return list;
}

}  // namespace charloom
