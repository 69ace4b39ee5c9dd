"""One step of each cell, against PyTorch's cells and against numbers computed by hand."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from charloom.recurrence.equations import STEPS, CellWeights

_CELLS: dict[str, Any] = {
    "RNN_TANH": nn.RNNCell,
    "RNN_RELU": partial(nn.RNNCell, nonlinearity="relu"),
    "GRU": nn.GRUCell,
    "LSTM": nn.LSTMCell,
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mode", STEPS)
def test_a_step_equals_that_of_pytorchs_cell(mode: str, bias: bool) -> None:
    torch.manual_seed(0)
    theirs = _CELLS[mode](3, 5, bias=bias, dtype=torch.float64)
    x, h, c = (2 * torch.randn(4, size, dtype=torch.float64) for size in (3, 5, 5))
    weights = CellWeights._make([*theirs.parameters(), None, None][:4])
    state = (h, c) if mode == "LSTM" else (h,)
    expected = theirs(x, state if mode == "LSTM" else h)
    torch.testing.assert_close(STEPS[mode](x, state, weights), expected if mode == "LSTM" else (expected,))


def _weights(*of_gates: float) -> CellWeights:
    """Returns weights of one unit and one feature: each gate's input weight; hidden weights are 1, biases 0.25."""
    rows = torch.tensor(of_gates).reshape(-1, 1)
    bias = torch.full((len(of_gates),), 0.25)
    return CellWeights(rows, torch.ones_like(rows), bias, bias)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_reset_gate_multiplies_the_hidden_part_of_the_candidate() -> None:
    """Including its bias: cuDNN's form, which differs from the textbook's."""
    (h,) = STEPS["GRU"](torch.tensor([[2.0]]), (torch.tensor([[0.5]]),), _weights(1, -1, 0.5))
    reset, update = _sigmoid(2 + 0.5 + 0.5), _sigmoid(-2 + 0.5 + 0.5)
    candidate = math.tanh(1 + 0.25 + reset * (0.5 + 0.25))
    assert h.item() == pytest.approx((1 - update) * candidate + update * 0.5, rel=1e-6)


def test_the_gates_of_an_lstm_are_in_pytorchs_order() -> None:
    state = torch.tensor([[0.5]]), torch.tensor([[-2.0]])
    h, c = STEPS["LSTM"](torch.tensor([[2.0]]), state, _weights(1, -1, 0.5, 2))
    cell = _sigmoid(-2 + 1) * -2 + _sigmoid(2 + 1) * math.tanh(1 + 1)
    assert c.item() == pytest.approx(cell, rel=1e-6)
    assert h.item() == pytest.approx(_sigmoid(4 + 1) * math.tanh(cell), rel=1e-6)
