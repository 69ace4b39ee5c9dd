// The recurrent cells by number, shared by both modules. Numbers and gates equal those of
// charloom_codec/cells.py: Python compares them when it imports a module and refuses a module that differs.
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
