// Tokens as input of the first layer. One-hot input is never multiplied: rows of the input weights are looked up in the
// forward pass, and their gradients are scattered in the backward pass. Embedded input: rows of the embedding.
#pragma once
#include "language_model/dropout.h"
#include "layer/recurrence.h"

namespace {

// Rows to prefetch ahead: they lie far apart, a pattern that the hardware prefetcher does not detect.
constexpr long kRowsAhead = 8;
// Units of a transpose at a time, so that source and result stay in the cache.
constexpr long kTableBlock = 16;

// Computes the initial pre-activations (pre-activations, width) of each token of a range: its column of the input
// weights plus biases.
template <class Cell>
static void make_token_table(float *table, const LayerWeights &from, long hidden, long vocabulary, Range tokens) {
  if (tokens.begin == tokens.end) return;
  const long width = padded(hidden), size = Cell::preactivations * width;
  float *first = table + tokens.begin * size;
  initialize_from_biases<Cell>(first, from, hidden);
  for (long v = tokens.begin + 1; v < tokens.end; v++) memcpy(table + v * size, first, size * sizeof(float));
  for (long i = 0; i < Cell::gates; i++)
    for (long j = 0; j < hidden; j += kTableBlock)
      for (long v = tokens.begin; v < tokens.end; v++)
        for (long u = j; u < min(j + kTableBlock, hidden); u++)
          table[v * size + i * width + u] += from.input[(Cell::input_gate[i] * hidden + u) * vocabulary + v];
}

// Computes a table (vocabulary, gates, width) of the gradients of each token, for a range of units and of rows.
// id_at(t, b): the token ids.
template <class Cell, class Number, class IdAt>
static void scatter_token_gradients(const Tape<Number> &tape, long vocabulary, IdAt id_at, Range rows, Range units,
                                    float *table) {
  const long width = tape.width, size = Cell::gates * width;
  for (long i = 0; i < Cell::gates; i++) {
    const long first = i * width + units.begin, count = units.end - units.begin;
    for (long v = 0; v < vocabulary; v++) memset(table + v * size + first, 0, count * sizeof(float));
    for (long t = 0; t < tape.steps; t++)
      for (long b = rows.begin; b < rows.end; b++) {
        float *to = table + id_at(t, b) * size + first;
        const Number *gate = tape.template gates_row<Cell>(t, b) + first;
        for (long j = 0; j < count; j += kLanes) {
          store(to + j, load(to + j) + load(gate + j));
          prefetch(gate + kRowsAhead * tape.template gates_stride<Cell>() + j);
        }
      }
  }
}

// Computes the gradient of the input weights (gates * hidden, vocabulary) for a range of units from `tables` tables,
// which are table_stride apart.
template <class Cell>
static void sum_token_tables(const float *table, long tables, long table_stride, long hidden, long vocabulary,
                             Range units, float *result) {
  const long width = padded(hidden), size = Cell::gates * width, last = min(units.end, hidden);
  for (long i = 0; i < Cell::gates; i++) {
    float *to = result + Cell::input_gate[i] * hidden * vocabulary;
    for (long j = units.begin; j < last; j += kTableBlock)
      for (long v = 0; v < vocabulary; v++)
        for (long u = j; u < min(j + kTableBlock, last); u++) {
          float sum = table[v * size + i * width + u];
          for (long k = 1; k < tables; k++) sum += table[k * table_stride + v * size + i * width + u];
          to[u * vocabulary + v] = sum;
        }
  }
}

// Writes a token's row of the embedding, padded to `stride` and with dropout, as the products read it.
template <class Number>
static void embed_token(const float *from, long size, const Dropout &dropout, long row, long stride, Number *to) {
  float values[8];
  for (long j = 0; j < stride; j += 8) {
    for (long i = 0; i < 8; i++) values[i] = j + i < size ? from[j + i] : 0.f;
    if (dropout.on()) dropout.apply(values, row, j, 8);
    for (long i = 0; i < 8; i++) set(to + j + i, values[i]);
  }
}

// Computes the gradient of the embedding (vocabulary, size), for a range of columns, from the gradient of each token's
// row (steps, batch, stride).
template <class IdAt>
static void scatter_embedding_gradients(const float *rows, long steps, long batch, long stride, long vocabulary,
                                        long size, IdAt id_at, Range columns, float *result) {
  const long last = min(columns.end, size);
  for (long v = 0; v < vocabulary; v++)
    for (long j = columns.begin; j < last; j++) result[v * size + j] = 0.f;
  for (long t = 0; t < steps; t++)
    for (long b = 0; b < batch; b++) {
      const float *from = rows + (t * batch + b) * stride;
      float *to = result + id_at(t, b) * size;
      for (long j = columns.begin; j < last; j++) to[j] += from[j];
    }
}

}  // namespace
