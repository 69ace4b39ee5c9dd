// One-hot input without the products: rows of the input weights looked up forward, and gathered backward.
#pragma once
#include "recurrence.h"

namespace {

constexpr long kRowsAhead = 8;    // rows lie far apart, where the processor does not see what comes next
constexpr long kTableBlock = 16;  // units of a transpose at once: pieces stay in the cache

// For each token of a range, what products start from, (products, width): its column of the input weights, and biases.
template <class Cell>
static void make_token_table(float *table, const LayerWeights &from, long hidden, long vocabulary, Range tokens) {
  if (tokens.begin == tokens.end) return;
  const long width = padded(hidden), size = Cell::products * width;
  float *first = table + tokens.begin * size;
  start_from_biases<Cell>(first, from, hidden);
  for (long v = tokens.begin + 1; v < tokens.end; v++) memcpy(table + v * size, first, size * sizeof(float));
  for (long i = 0; i < Cell::gates; i++)
    for (long j = 0; j < hidden; j += kTableBlock)
      for (long v = tokens.begin; v < tokens.end; v++)
        for (long u = j; u < smaller(j + kTableBlock, hidden); u++)
          table[v * size + i * width + u] += from.input[(Cell::input_gate[i] * hidden + u) * vocabulary + v];
}

// The gradient of the input weights, (gates * hidden, vocabulary), for a range of units. id_at(t, b): the tokens.
// table: (vocabulary, gates, width), to add up in.
template <class Cell, class Number, class IdAt>
static void scatter_token_gradients(const Tape<Number> &tape, long hidden, long vocabulary, IdAt id_at, Range units,
                                    float *table, float *result) {
  const long width = tape.width, size = Cell::gates * width, last = smaller(units.end, hidden);
  for (long i = 0; i < Cell::gates; i++) {
    const long first = i * width + units.begin, count = units.end - units.begin;
    for (long v = 0; v < vocabulary; v++) memset(table + v * size + first, 0, count * sizeof(float));
    for (long t = 0; t < tape.steps; t++)
      for (long b = 0; b < tape.batch; b++) {
        float *to = table + id_at(t, b) * size + first;
        const Number *gate = tape.template gates_row<Cell>(t, b) + first;
        for (long j = 0; j < count; j += kLanes) {
          store(to + j, load(to + j) + load(gate + j));
          prefetch(gate + kRowsAhead * tape.template gates_stride<Cell>() + j);
        }
      }
    float *to = result + Cell::input_gate[i] * hidden * vocabulary;
    for (long j = units.begin; j < last; j += kTableBlock)
      for (long v = 0; v < vocabulary; v++)
        for (long u = j; u < smaller(j + kTableBlock, last); u++)
          to[u * vocabulary + v] = table[v * size + i * width + u];
  }
}

}  // namespace
