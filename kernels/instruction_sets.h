// Which of the compiled instruction sets this processor can run.
#pragma once
#include <vector>

#include "kernels.h"

namespace charloom {

// The plain one first, the best last.
std::vector<const Kernels *> supported_kernels();

}  // namespace charloom
