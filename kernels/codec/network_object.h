// An integer model for Python: its arrays, packed for one instruction set, and the bytes of its tokens.
#pragma once
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "aligned_block.h"
#include "network.h"
#include "tokens.h"

namespace charloom {

using Address = uintptr_t;
using MatrixArrays = std::tuple<Address, Address, int, int>;  // weights, multipliers, shifts
// hidden, input, bias, candidate bias; zeros where there is none
using LayerArrays = std::tuple<MatrixArrays, MatrixArrays, Address, Address>;

inline IntegerMatrix matrix_at(const MatrixArrays &a) {
  return {(const int8_t *)std::get<0>(a), (const int16_t *)std::get<1>(a), std::get<2>(a), std::get<3>(a)};
}

inline const CodecNetwork &named(const std::string &name) {
  for (const CodecNetwork *network : supported_networks())
    if (name == network->name) return *network;
  throw std::invalid_argument("no instruction set " + name);
}

// An integer model, packed for one instruction set. Any number of threads may step with it.
class Network {
 public:
  // shape: (cell, hidden, vocabulary, begin token)
  Network(const std::string &name, std::tuple<int, long, long, long> shape, Address token_table,
          const std::vector<LayerArrays> &layers, const MatrixArrays &output, Address output_bias, Address tanh,
          Address exp2, Address token_bytes, Address token_offsets)
      : functions_(named(name)),
        vocabulary_(std::get<2>(shape)),
        packed_([&] {
          std::vector<IntegerLayer> layer;
          for (const auto &[hidden, input, bias, candidate_bias] : layers)
            layer.push_back(
                {matrix_at(hidden), matrix_at(input), (const int32_t *)bias, (const int32_t *)candidate_bias});
          const IntegerWeights weights{(CellKind)std::get<0>(shape),
                                       std::get<1>(shape),
                                       (long)layers.size(),
                                       std::get<2>(shape),
                                       std::get<3>(shape),
                                       (const int16_t *)token_table,
                                       layer.data(),
                                       matrix_at(output),
                                       (const int32_t *)output_bias,
                                       (const int16_t *)tanh,
                                       (const int16_t *)exp2};
          return Packed(functions_, weights);
        }()),
        tokens_((const uint8_t *)token_bytes, (const int32_t *)token_offsets, (int)vocabulary_) {}

  const CodecNetwork &functions() const { return functions_; }
  const void *packed() const { return packed_.block.data(); }
  long vocabulary() const { return vocabulary_; }
  const Tokens &tokens() const { return tokens_; }

 private:
  struct Packed {
    Packed(const CodecNetwork &functions, const IntegerWeights &weights) : block(functions.packed_size(weights)) {
      functions.pack(weights, block.data());
    }
    AlignedBlock block;
  };

  const CodecNetwork &functions_;
  long vocabulary_;
  Packed packed_;
  Tokens tokens_;
};

}  // namespace charloom
