// The kernels of the instruction sets that this processor can run.
#pragma once
#include "kernels.h"
#include "runtime/instruction_sets.h"

namespace charloom {

extern const Kernels CHARLOOM_VARIANTS;  // the names of the compiled instruction sets, see CMakeLists.txt

// The plain one first, the best last.
inline std::vector<const Kernels *> supported_kernels() { return that_can_run<Kernels>({CHARLOOM_VARIANTS}); }

}  // namespace charloom
