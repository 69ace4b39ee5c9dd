// One step of the integer network for several lanes: layer by layer, 32 units at a time, then the frequencies.
#pragma once
#include <type_traits>

#include "network/frequencies.h"

namespace {

using charloom::IntegerWeights;

constexpr long kMaxNetworkLayers = 64;
constexpr int32_t kNoToken = -(1 << 30);  // a logit below that of any token

struct PackedLayer {
  PackedMatrix hidden, input;
  int32_t *bias;            // [blocks][gates][32]
  int32_t *candidate_bias;  // [blocks][32]
};

// A packed model in a block of memory, which starts with this object.
template <class Cell>
class PackedNetwork {
 public:
  static size_t pack(const IntegerWeights &from, void *packed) {
    Arena arena(packed);
    PackedNetwork *stored = arena.allocate<PackedNetwork>(1);
    PackedNetwork network(from, arena);
    if (packed) {
      network.fill(from);
      *stored = network;
    }
    return arena.used();
  }

  static size_t start(const void *packed, long lanes, void *memory, uint32_t *frequencies) {
    const auto &network = *static_cast<const PackedNetwork *>(packed);
    Arena arena(memory);
    const Lanes all = network.allocate_lanes(arena, lanes);
    int32_t *tokens = arena.allocate<int32_t>(lanes);
    if (!memory) return arena.used();
    const long row = row_size(network.depth_);
    for (long l = 0; l < network.layer_count_; l++) {
      for (long i = 0; i < round_up(lanes, kRowBlock); i++) clear_row(all.hidden[l] + i * row, network.depth_);
      if (kIsLstm) memset(all.cell[l], 0, lanes * network.depth_ * sizeof *all.cell[l]);
    }
    std::fill(tokens, tokens + lanes, (int32_t)network.start_token_);
    step(packed, lanes, tokens, memory, frequencies);
    return arena.used();
  }

  static void step(const void *packed, long lanes, const int32_t *tokens, void *memory, uint32_t *frequencies) {
    const auto &network = *static_cast<const PackedNetwork *>(packed);
    Arena arena(memory);
    const Lanes all = network.allocate_lanes(arena, lanes);
    const Tanh tanh(network.tanh_);
    TileConfig tiles;
    const long row = row_size(network.depth_);
    for (long l = 0; l < network.layer_count_; l++) {
      network.step_layer(l, lanes, tokens, all, tanh);
      for (long i = 0; i < lanes; i++)
        // Lanes without a token keep their state.
        if (tokens[i] >= 0) memcpy(all.hidden[l] + i * row, all.next + i * row, row * sizeof *all.next);
    }
    network.write_frequencies(lanes, tokens, all, frequencies);
  }

 private:
  static constexpr bool kIsGru = std::is_same_v<Cell, GruCell>, kIsLstm = std::is_same_v<Cell, LstmCell>;

  PackedNetwork(const IntegerWeights &from, Arena &arena)
      : hidden_(from.hidden),
        layer_count_(from.layers),
        vocabulary_(from.vocabulary),
        start_token_(from.start_token),
        depth_(round_up(hidden_, kDepth)),
        blocks_(round_up(hidden_, kUnits) / kUnits),
        logits_(round_up(vocabulary_, kUnits)) {
    const long numbers = blocks_ * Cell::gates * kUnits;
    tanh_ = arena.allocate<int16_t>(3 * 32);
    exp2_ = arena.allocate<int16_t>(4);
    table_ = arena.allocate<int16_t>(vocabulary_ * numbers);
    for (long l = 0; l < layer_count_; l++) {
      layers_[l].hidden = allocate_matrix(arena, from.layer[l].hidden, hidden_, Cell::gates, hidden_);
      if (l) layers_[l].input = allocate_matrix(arena, from.layer[l].input, hidden_, Cell::gates, hidden_);
      if (l) layers_[l].bias = arena.allocate<int32_t>(numbers);
      if (kIsGru) layers_[l].candidate_bias = arena.allocate<int32_t>(depth_);
    }
    output_ = allocate_matrix(arena, from.output, vocabulary_, 1, hidden_);
    output_bias_ = arena.allocate<int32_t>(logits_);
  }

  void fill(const IntegerWeights &from) const {
    const long numbers = blocks_ * Cell::gates * kUnits;
    memcpy(tanh_, from.tanh, 3 * 32 * sizeof *tanh_);
    memcpy(exp2_, from.exp2, 4 * sizeof *exp2_);
    for (long v = 0; v < vocabulary_; v++)
      pack_numbers(from.token_table + v * Cell::gates * hidden_, hidden_, Cell::gates, table_ + v * numbers);
    for (long l = 0; l < layer_count_; l++) {
      pack_matrix(from.layer[l].hidden, hidden_, hidden_, layers_[l].hidden);
      if (l) pack_matrix(from.layer[l].input, hidden_, hidden_, layers_[l].input);
      if (l) pack_numbers(from.layer[l].bias, hidden_, Cell::gates, layers_[l].bias);
      if (kIsGru) pack_numbers(from.layer[l].candidate_bias, hidden_, 1, layers_[l].candidate_bias);
    }
    pack_matrix(from.output, vocabulary_, hidden_, output_);
    pack_numbers(from.output_bias, vocabulary_, 1, output_bias_, kNoToken);
  }

  // The states of the lanes, and the scratch of a step.
  struct Lanes {
    Activation *hidden[kMaxNetworkLayers];  // (lanes, row_size)
    int16_t *cell[kMaxNetworkLayers];       // (lanes, depth); LSTM only
    Activation *next;            // (lanes, row_size): new states of a layer, while its old ones are still read
    int32_t *sums, *input_sums;  // (kRowBlock, gates * 32), and for logits (kRowBlock, logits)
  };
  Lanes allocate_lanes(Arena &arena, long lanes) const {
    Lanes all;
    for (long l = 0; l < layer_count_; l++) {
      all.hidden[l] = arena.allocate<Activation>(round_up(lanes, kRowBlock) * row_size(depth_));
      all.cell[l] = kIsLstm ? arena.allocate<int16_t>(lanes * depth_) : nullptr;
    }
    all.next = arena.allocate<Activation>(lanes * row_size(depth_));
    all.sums = arena.allocate<int32_t>(kRowBlock * std::max(Cell::gates * kUnits, logits_));
    all.input_sums = arena.allocate<int32_t>(kRowBlock * Cell::gates * kUnits);
    return all;
  }

  void step_layer(long l, long lanes, const int32_t *tokens, const Lanes &all, const Tanh &tanh) const {
    const PackedLayer &layer = layers_[l];
    const long row = row_size(depth_), width = Cell::gates * kUnits;
    for (long block = 0; block < blocks_; block++)
      for (long first = 0; first < lanes; first += kRowBlock) {
        const long rows = std::min(kRowBlock, lanes - first), at = block * width;
        multiply(rows, depth_, all.hidden[l] + first * row, row, layer.hidden.panel(block), Cell::gates, all.sums,
                 width);
        if (l)
          multiply(rows, depth_, all.hidden[l - 1] + first * row, row, layer.input.panel(block), Cell::gates,
                   all.input_sums, width);
        for (long i = 0; i < rows; i++) {
          const long lane = first + i;
          if (tokens[lane] < 0) continue;
          const Products hidden = products_of(layer.hidden, block, all.sums + i * width);
          if (l) {
            const LayerInput input{products_of(layer.input, block, all.input_sums + i * width), layer.bias + at};
            step_units(l, block, lane, input, hidden, all, tanh);
          } else {
            step_units(l, block, lane, TokenInput{table_ + tokens[lane] * blocks_ * width + at}, hidden, all, tanh);
          }
        }
      }
  }

  template <class Input>
  CHARLOOM_INLINE_MEMBER void step_units(long l, long block, long lane, const Input &input, const Products &hidden,
                                         const Lanes &all, const Tanh &tanh) const {
    const long row = lane * row_size(depth_);
    for (long part = 0; part < kParts; part++) {
      const long first = part * kShortLanes, unit = block * kUnits + first;
      const Shorts h = kIsGru ? load_activations(all.hidden[l] + row, depth_, unit) : Shorts{};
      store_activations(
          all.next + row, depth_, unit,
          Cell::step(Part<Input>{input, hidden, first}, tanh, h, kIsLstm ? all.cell[l] + lane * depth_ + unit : nullptr,
                     kIsGru ? layers_[l].candidate_bias + unit : nullptr));
    }
  }

  void write_frequencies(long lanes, const int32_t *tokens, const Lanes &all, uint32_t *frequencies) const {
    const long row = row_size(depth_);
    for (long first = 0; first < lanes; first += kRowBlock) {
      const long rows = std::min(kRowBlock, lanes - first);
      multiply(rows, depth_, all.hidden[layer_count_ - 1] + first * row, row, output_.panel(0), logits_ / kUnits,
               all.sums, logits_);
      for (long i = 0; i < rows; i++) {
        if (tokens[first + i] < 0) continue;
        compute_frequencies(products_of(output_, 0, all.sums + i * logits_), output_bias_, logits_, vocabulary_, exp2_,
                            all.sums + i * logits_, frequencies + (first + i) * vocabulary_);
      }
    }
  }

  long hidden_, layer_count_, vocabulary_, start_token_;
  long depth_, blocks_, logits_;  // depth_, logits_: padded hidden size and vocabulary
  int16_t *tanh_, *exp2_, *table_;
  PackedLayer layers_[kMaxNetworkLayers] = {};
  PackedMatrix output_;
  int32_t *output_bias_;
};

}  // namespace
