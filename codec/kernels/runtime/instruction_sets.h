// The choice among the compiled instruction sets: those that this processor supports. Both modules use it, each for its
// own table of functions.
#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace charloom {

// Returns whether this process may use AMX tiles. Linux enables their state (8 kB for each thread) only for a process
// that requests it with arch_prctl(ARCH_REQ_XCOMP_PERM). Emulated tiles need no permission.
inline bool request_tile_permission() {
#if defined(CHARLOOM_EMULATED_TILES)
  return true;
#elif defined(CHARLOOM_TILES) && defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("amx-int8") &&
         syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

// name: an instruction set, as in CMakeLists.txt.
inline bool is_supported(const std::string &name) {
  if (name == "scalar") return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v4 = __builtin_cpu_supports("x86-64-v4"), vnni = v4 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  if (name == "avx2") return __builtin_cpu_supports("x86-64-v3");
  if (name == "avx512") return v4;
  if (name == "avx512vnni") return vnni;
  if (name == "avx512bf16") return bf16;
  if (name == "amx") return bf16 && request_tile_permission();
#endif
  return false;
}

// Returns the supported ones of the compiled tables of functions, in the same order.
template <class Functions>
std::vector<const Functions *> filter_supported(
    std::initializer_list<std::reference_wrapper<const Functions>> compiled) {
  std::vector<const Functions *> list;
  for (const Functions &functions : compiled)
    if (is_supported(functions.name)) list.push_back(&functions);
  return list;
}

}  // namespace charloom
