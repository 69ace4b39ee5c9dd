// The kernels of the instruction sets that this processor supports. The codec's counterpart is in
// codec/network/network.h.
#pragma once
#include "kernels.h"
#include "runtime/instruction_sets.h"

namespace charloom {

extern const Kernels CHARLOOM_VARIANTS;  // one for each compiled instruction set, see CMakeLists.txt

// Returns the supported kernels in the order of CMakeLists.txt: the slowest first, the fastest last.
inline std::vector<const Kernels *> supported_kernels() { return filter_supported<Kernels>({CHARLOOM_VARIANTS}); }

}  // namespace charloom
