// The cells, with the numbers and gates of src/charloom/settings/cells.py: Python compares them as it imports a module.
#pragma once

namespace charloom {

enum class CellKind : int { rnn_tanh = 0, rnn_relu = 1, gru = 2, lstm = 3 };

struct NamedCell {
  const char *name;
  CellKind kind;
  int gates;
};
constexpr NamedCell kCells[] = {
    {"rnn_tanh", CellKind::rnn_tanh, 1},
    {"rnn_relu", CellKind::rnn_relu, 1},
    {"gru", CellKind::gru, 3},
    {"lstm", CellKind::lstm, 4},
};

}  // namespace charloom
