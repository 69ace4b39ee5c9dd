// An integer model, packed for one instruction set, and the bytes of its tokens.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "codec/codec_kernels.h"
#include "codec/network/tokens.h"
#include "runtime/instruction_sets.h"
#include "runtime/workspace.h"

namespace charloom {

extern const CodecKernels CHARLOOM_VARIANTS;  // the names of the compiled instruction sets, see CMakeLists.txt

// Of the instruction sets that this processor can run, the plain one first, the best last.
inline std::vector<const CodecKernels *> supported_codec_kernels() {
  return that_can_run<CodecKernels>({CHARLOOM_VARIANTS});
}

inline const CodecKernels &codec_kernels(const std::string &name) {
  for (const CodecKernels *kernels : supported_codec_kernels())
    if (name == kernels->name) return *kernels;
  throw std::invalid_argument("no instruction set " + name);
}

// Any number of threads may step with it. The weights are read once.
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
