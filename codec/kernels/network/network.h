// An integer model, packed for one instruction set, with the bytes of its tokens. network_prediction.h runs it.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "codec_kernels.h"
#include "network/tokens.h"
#include "runtime/instruction_sets.h"
#include "runtime/workspace.h"

namespace charloom {

extern const CodecKernels CHARLOOM_VARIANTS;  // one for each compiled instruction set, see CMakeLists.txt

// Returns those that this processor supports: the slowest first, the fastest last.
inline std::vector<const CodecKernels *> supported_codec_kernels() {
  return filter_supported<CodecKernels>({CHARLOOM_VARIANTS});
}

inline const CodecKernels &codec_kernels(const std::string &name) {
  for (const CodecKernels *kernels : supported_codec_kernels())
    if (name == kernels->name) return *kernels;
  throw std::invalid_argument("instruction set '" + name + "' is not supported");
}

// Immutable after construction, so any number of threads may run it. The weights are read by the constructor only.
class Network {
 public:
  Network(const std::string &instruction_set, const IntegerWeights &weights, const uint8_t *token_bytes,
          const int32_t *token_offsets)
      : kernels_(codec_kernels(instruction_set)),
        functions_(kernels_.network[(int)weights.cell]),
        vocabulary_(weights.vocabulary),
        packed_(functions_.pack(weights, nullptr)),
        tokens_(token_bytes, token_offsets, (int)vocabulary_) {
    functions_.pack(weights, packed_.data());
  }

  const CodecKernels &kernels() const { return kernels_; }
  const NetworkFunctions &functions() const { return functions_; }
  const void *packed() const { return packed_.data(); }
  long vocabulary() const { return vocabulary_; }
  const Tokens &tokens() const { return tokens_; }

 private:
  const CodecKernels &kernels_;
  const NetworkFunctions &functions_;
  long vocabulary_;
  Workspace packed_;
  Tokens tokens_;
};

}  // namespace charloom
