"""One time step of each cell: the specification that every faster path is tested against.

The equations and the gate order are those of ``torch.nn.RNN``, ``GRU`` and ``LSTM``; the letters are the textbook's
(X_t input, H_t hidden state, C_t cell state; R, Z, N the reset, update and candidate gates; I, F, G, O the input,
forget, candidate and output gates).
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

CellState: TypeAlias = tuple[Tensor, ...]
"""(H_t,) for RNN and GRU, (H_t, C_t) for LSTM; each (batch, hidden)."""


class CellWeights(NamedTuple):
    """The parameters of one layer in one direction, gates stacked along the first dimension.

    Attributes:
        input: Input weights, (gates * hidden, input features).
        hidden: Hidden weights, (gates * hidden, hidden).
        input_bias: Bias (gates * hidden,), or None for a layer without bias.
        hidden_bias: Bias (gates * hidden,), or None for a layer without bias.
    """

    input: Tensor
    hidden: Tensor
    input_bias: Tensor | None
    hidden_bias: Tensor | None


CellStep: TypeAlias = Callable[[Tensor, CellState, CellWeights], CellState]
"""(X_t, state, weights) -> next state."""


def _project(x: Tensor, h: Tensor, w: CellWeights) -> tuple[Tensor, Tensor]:
    """Returns the contributions of the input and of the hidden state to all gates, each (batch, gates * hidden)."""
    # Two products, not one of concatenated matrices: the GRU's candidate needs the hidden state's part alone.
    return torch.nn.functional.linear(x, w.input, w.input_bias), torch.nn.functional.linear(h, w.hidden, w.hidden_bias)


def rnn_tanh_step(x: Tensor, state: CellState, w: CellWeights) -> CellState:
    """Computes H_t = tanh(X_t W_xh + b_xh + H_{t-1} W_hh + b_hh)."""
    from_input, from_hidden = _project(x, state[0], w)
    return (torch.tanh(from_input + from_hidden),)


def rnn_relu_step(x: Tensor, state: CellState, w: CellWeights) -> CellState:
    """Computes H_t = max(0, X_t W_xh + b_xh + H_{t-1} W_hh + b_hh)."""
    from_input, from_hidden = _project(x, state[0], w)
    # Unlike all other cells, this one has unbounded hidden states.
    return (torch.relu(from_input + from_hidden),)


def gru_step(x: Tensor, state: CellState, w: CellWeights) -> CellState:
    """Computes R, Z = sigmoid(...), N = tanh(X part + R * H part), H_t = (1 - Z) * N + Z * H_{t-1}.

    The reset gate multiplies the product of hidden state and weights (cuDNN's form), not the hidden state itself.
    """
    (h,) = state
    from_input, from_hidden = _project(x, h, w)
    reset_x, update_x, candidate_x = from_input.chunk(3, dim=-1)
    reset_h, update_h, candidate_h = from_hidden.chunk(3, dim=-1)
    reset = torch.sigmoid(reset_x + reset_h)
    update = torch.sigmoid(update_x + update_h)
    # Cho et al. (2014) and the textbook multiply the state before the product; torch.nn.GRU does as here.
    candidate = torch.tanh(candidate_x + reset * candidate_h)
    return ((1 - update) * candidate + update * h,)


def lstm_step(x: Tensor, state: CellState, w: CellWeights) -> CellState:
    """Computes I, F, O = sigmoid(...), G = tanh(...), C_t = F * C_{t-1} + I * G, H_t = O * tanh(C_t)."""
    h, c = state
    from_input, from_hidden = _project(x, h, w)
    # torch.nn's order of the gates: weights of a state_dict are laid out by it.
    input_gate, forget_gate, candidate, output_gate = (from_input + from_hidden).chunk(4, dim=-1)
    c = torch.sigmoid(forget_gate) * c + torch.sigmoid(input_gate) * torch.tanh(candidate)
    # The hidden state first: ``state[0]`` is the output of every cell.
    return torch.sigmoid(output_gate) * torch.tanh(c), c


STEPS: dict[str, CellStep] = {
    "RNN_TANH": rnn_tanh_step,
    "RNN_RELU": rnn_relu_step,
    "GRU": gru_step,
    "LSTM": lstm_step,
}
"""Time steps by the name of the cell in ``torch.nn.RNNBase.mode``."""
