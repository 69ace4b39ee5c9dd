// One step of the network for a number of lanes: layer by layer, 32 units at a time, and the frequencies at the end.
#pragma once
#include "frequencies.h"

namespace {

using charloom::CellKind;
using charloom::IntegerWeights;

constexpr long kMostLayers = 64;
constexpr int32_t kNoToken = -(1 << 30);  // a logit below that of any token

struct Shape {
  CellKind cell;
  long hidden, layers, vocabulary, begin_token;

  long depth() const { return round_up(hidden, kDepth); }
  long blocks() const { return round_up(hidden, kUnits) / kUnits; }
  long logits() const { return round_up(vocabulary, kUnits); }
};

struct PackedLayer {
  PackedMatrix hidden, input;
  int32_t *bias;            // [blocks][gates][32]
  int32_t *candidate_bias;  // [blocks][32]
};

// The model in memory of its own, which begins with its shape.
template <class Cell>
class PackedNetwork {
 public:
  PackedNetwork(const Shape &shape, void *memory) : shape_(shape) {
    Arena arena(memory);
    Shape *stored = arena.take<Shape>(1);
    if (memory) *stored = shape;
    const long numbers = shape.blocks() * Cell::gates * kUnits;
    tanh_ = arena.take<int16_t>(3 * 32);
    exp2_ = arena.take<int16_t>(4);
    table_ = arena.take<int16_t>(shape.vocabulary * numbers);
    for (long l = 0; l < shape.layers; l++) {
      layers_[l].hidden = take_matrix(arena, shape.hidden, Cell::gates, shape.hidden);
      layers_[l].input = l ? take_matrix(arena, shape.hidden, Cell::gates, shape.hidden) : PackedMatrix{};
      layers_[l].bias = l ? arena.take<int32_t>(numbers) : nullptr;
      layers_[l].candidate_bias = shape.cell == CellKind::gru ? arena.take<int32_t>(shape.depth()) : nullptr;
    }
    output_ = take_matrix(arena, shape.vocabulary, 1, shape.hidden);
    output_bias_ = arena.take<int32_t>(shape.logits());
    size_ = arena.used();
  }

  size_t size() const { return size_; }

  void pack(const IntegerWeights &from) const {
    const long numbers = shape_.blocks() * Cell::gates * kUnits;
    memcpy(tanh_, from.tanh, 3 * 32 * sizeof *tanh_);
    memcpy(exp2_, from.exp2, 4 * sizeof *exp2_);
    for (long v = 0; v < shape_.vocabulary; v++)
      pack_numbers(from.token_table + v * Cell::gates * shape_.hidden, shape_.hidden, Cell::gates,
                   table_ + v * numbers);
    for (long l = 0; l < shape_.layers; l++) {
      pack_matrix(from.layer[l].hidden, shape_.hidden, shape_.hidden, layers_[l].hidden);
      if (l) pack_matrix(from.layer[l].input, shape_.hidden, shape_.hidden, layers_[l].input);
      if (l) pack_numbers(from.layer[l].bias, shape_.hidden, Cell::gates, layers_[l].bias);
      if (layers_[l].candidate_bias)
        pack_numbers(from.layer[l].candidate_bias, shape_.hidden, 1, layers_[l].candidate_bias);
    }
    pack_matrix(from.output, shape_.vocabulary, shape_.hidden, output_);
    pack_numbers(from.output_bias, shape_.vocabulary, 1, output_bias_, kNoToken);
  }

  // Cut from a state's memory, or measured.
  struct State {
    Activation *hidden[kMostLayers];  // (lanes, row_size)
    int16_t *cell[kMostLayers];       // (lanes, depth); LSTM only
    size_t size;
  };
  State state(long lanes, void *memory) const {
    State s;
    Arena arena(memory);
    for (long l = 0; l < shape_.layers; l++) {
      s.hidden[l] = arena.take<Activation>(round_up(lanes, kRowBlock) * row_size(shape_.depth()));
      s.cell[l] = shape_.cell == CellKind::lstm ? arena.take<int16_t>(lanes * shape_.depth()) : nullptr;
    }
    s.size = arena.used();
    return s;
  }

  struct Workspace {
    Activation *next;            // (lanes, row_size): a layer's new states, while its old ones are still read
    int32_t *sums, *input_sums;  // (kRowBlock, gates * 32), and for logits (kRowBlock, logits)
    size_t size;
  };
  Workspace workspace(long lanes, void *memory) const {
    Workspace w;
    Arena arena(memory);
    w.next = arena.take<Activation>(lanes * row_size(shape_.depth()));
    w.sums = arena.take<int32_t>(kRowBlock * std::max(Cell::gates * kUnits, shape_.logits()));
    w.input_sums = arena.take<int32_t>(kRowBlock * Cell::gates * kUnits);
    w.size = arena.used();
    return w;
  }

  void clear(long lanes, void *memory) const {
    const State s = state(lanes, memory);
    for (long l = 0; l < shape_.layers; l++) {
      for (long i = 0; i < round_up(lanes, kRowBlock); i++)
        clear_row(s.hidden[l] + i * row_size(shape_.depth()), shape_.depth());
      if (s.cell[l]) memset(s.cell[l], 0, lanes * shape_.depth() * sizeof *s.cell[l]);
    }
  }

  void step(long lanes, const int32_t *tokens, void *state_memory, uint32_t *frequencies,
            void *workspace_memory) const {
    const State s = state(lanes, state_memory);
    const Workspace w = workspace(lanes, workspace_memory);
    const Tanh tanh(tanh_);
    TileUnit tiles;
    (void)tiles;
    for (long l = 0; l < shape_.layers; l++) {
      step_layer(l, lanes, tokens, s, w, tanh);
      for (long i = 0; i < lanes; i++)
        if (tokens[i] >= 0)
          memcpy(s.hidden[l] + i * row_size(shape_.depth()), w.next + i * row_size(shape_.depth()),
                 row_size(shape_.depth()) * sizeof *w.next);
    }
    write_frequencies(lanes, tokens, s.hidden[shape_.layers - 1], w, frequencies);
  }

 private:
  void step_layer(long l, long lanes, const int32_t *tokens, const State &s, const Workspace &w,
                  const Tanh &tanh) const {
    const PackedLayer &layer = layers_[l];
    const long depth = shape_.depth(), row = row_size(depth), width = Cell::gates * kUnits;
    for (long block = 0; block < shape_.blocks(); block++)
      for (long first = 0; first < lanes; first += kRowBlock) {
        const long rows = std::min(kRowBlock, lanes - first);
        multiply(rows, depth, s.hidden[l] + first * row, row, layer.hidden.panel(block), Cell::gates, w.sums, width);
        if (l)
          multiply(rows, depth, s.hidden[l - 1] + first * row, row, layer.input.panel(block), Cell::gates, w.input_sums,
                   width);
        for (long i = 0; i < rows; i++) {
          const long lane = first + i;
          if (tokens[lane] < 0) continue;
          const Products hidden = products_of(layer.hidden, block, w.sums + i * width);
          const long at = block * width;
          if (l) {
            const LayerInput input{products_of(layer.input, block, w.input_sums + i * width), layer.bias + at};
            step_units(layer, block, lane, input, hidden, s.hidden[l], s.cell[l], w.next, tanh);
          } else {
            const TokenInput input{table_ + tokens[lane] * shape_.blocks() * width + at};
            step_units(layer, block, lane, input, hidden, s.hidden[l], s.cell[l], w.next, tanh);
          }
        }
      }
  }

  template <class Input>
  inline __attribute__((always_inline)) void step_units(const PackedLayer &layer, long block, long lane,
                                                        const Input &input, const Products &hidden,
                                                        const Activation *before, int16_t *cell, Activation *next,
                                                        const Tanh &tanh) const {
    const long depth = shape_.depth(), row = lane * row_size(depth);
    for (long part = 0; part < kParts; part++) {
      const long first = part * kShortLanes, unit = block * kUnits + first;
      const Shorts h = Cell::gates == 3 ? load_activations(before + row, depth, unit) : Shorts{};
      store_activations(
          next + row, depth, unit,
          Cell::step(Part<Input>{input, hidden, first}, tanh, h, cell ? cell + lane * depth + unit : nullptr,
                     layer.candidate_bias ? layer.candidate_bias + unit : nullptr));
    }
  }

  void write_frequencies(long lanes, const int32_t *tokens, const Activation *h, const Workspace &w,
                         uint32_t *frequencies) const {
    const long depth = shape_.depth(), row = row_size(depth), size = shape_.logits();
    for (long first = 0; first < lanes; first += kRowBlock) {
      const long rows = std::min(kRowBlock, lanes - first);
      multiply(rows, depth, h + first * row, row, output_.panel(0), size / kUnits, w.sums, size);
      for (long i = 0; i < rows; i++) {
        if (tokens[first + i] < 0) continue;
        share_out(products_of(output_, 0, w.sums + i * size), output_bias_, size, shape_.vocabulary, exp2_,
                  w.sums + i * size, frequencies + (first + i) * shape_.vocabulary);
      }
    }
  }

  Shape shape_;
  int16_t *tanh_, *exp2_, *table_;
  PackedLayer layers_[kMostLayers];
  PackedMatrix output_;
  int32_t *output_bias_;
  size_t size_;
};

}  // namespace
