// The integer network of one instruction set: this file is compiled once for each, under its own name and flags.
#include <algorithm>

#include "mixer_kernels.h"
#include "step.h"

#define CHARLOOM_TEXT_OF(name) #name
#define CHARLOOM_TEXT(name) CHARLOOM_TEXT_OF(name)

namespace charloom {
namespace {

// Calls work with the network that is, or is to be, in this memory.
template <class Work>
auto with_network(const Shape &shape, const void *packed, Work work) {
  void *memory = const_cast<void *>(packed);
  switch (shape.cell) {
    case CellKind::rnn_tanh:
      return work(PackedNetwork<RnnTanhCell>(shape, memory));
    case CellKind::rnn_relu:
      return work(PackedNetwork<RnnReluCell>(shape, memory));
    case CellKind::gru:
      return work(PackedNetwork<GruCell>(shape, memory));
    default:
      return work(PackedNetwork<LstmCell>(shape, memory));
  }
}

Shape shape_of(const IntegerWeights &weights) {
  return {weights.cell, weights.hidden, weights.layers, weights.vocabulary, weights.begin_token};
}
Shape stored_shape(const void *packed) {
  Shape shape;
  memcpy(&shape, packed, sizeof shape);
  return shape;
}

size_t packed_size(const IntegerWeights &weights) {
  return with_network(shape_of(weights), nullptr, [](const auto &network) { return network.size(); });
}

void pack(const IntegerWeights &weights, void *packed) {
  with_network(shape_of(weights), packed, [&](const auto &network) { network.pack(weights); });
}

size_t state_size(const void *packed, long lanes) {
  return with_network(stored_shape(packed), packed,
                      [&](const auto &network) { return network.state(lanes, nullptr).size; });
}

size_t workspace_size(const void *packed, long lanes) {
  return with_network(stored_shape(packed), packed,
                      [&](const auto &network) { return network.workspace(lanes, nullptr).size; });
}

void step(const void *packed, long lanes, const int32_t *tokens, void *state, uint32_t *frequencies, void *workspace) {
  with_network(stored_shape(packed), packed,
               [&](const auto &network) { network.step(lanes, tokens, state, frequencies, workspace); });
}

void begin(const void *packed, long lanes, void *state, uint32_t *frequencies, void *workspace) {
  const Shape shape = stored_shape(packed);
  const std::vector<int32_t> tokens(lanes, (int32_t)shape.begin_token);
  with_network(shape, packed, [&](const auto &network) {
    network.clear(lanes, state);
    network.step(lanes, tokens.data(), state, frequencies, workspace);
  });
}

}  // namespace

extern const CodecNetwork CHARLOOM_VARIANT;
const CodecNetwork CHARLOOM_VARIANT = {
    CHARLOOM_TEXT(CHARLOOM_VARIANT), packed_size, pack, state_size, workspace_size, begin, step, {mix, learn}};

}  // namespace charloom
