"""The equations carried over time, layers and directions: slow, plain, and right by inspection.

``scan_direction`` is the reference. Prefer it for reading, testing and debugging; for work, ``backend`` chooses a
faster way to run a direction (``native.native_direction``), under the same loop over layers.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from charloom.recurrence.equations import CellState, CellStep, CellWeights


def scan_direction(
    step: CellStep, inputs: Tensor, state: CellState, weights: CellWeights, backward_in_time: bool = False
) -> tuple[Tensor, CellState]:
    """Runs one layer in one direction.

    inputs: (steps, batch, features). state: tensors (batch, hidden).
    Returns the hidden states in the order of the inputs, (steps, batch, hidden), and the last state.
    """
    order = range(len(inputs) - 1, -1, -1) if backward_in_time else range(len(inputs))
    hidden_states: list[Tensor] = [inputs] * len(inputs)
    for t in order:
        state = step(inputs[t], state, weights)
        hidden_states[t] = state[0]
    return torch.stack(hidden_states), state


RunDirection: TypeAlias = Callable[[Tensor, CellState, CellWeights, bool], tuple[Tensor, CellState]]
"""How one layer is run in one direction: ``scan_direction`` with its step given, or anything that does the same."""


def scan_layers(
    run_direction: RunDirection,
    inputs: Tensor,
    state: CellState,
    weights: Sequence[CellWeights],
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> tuple[Tensor, CellState]:
    """Runs every layer, each on the outputs of the one below.

    inputs: (steps, batch, features). state: tensors (layers * directions, batch, hidden), in the order of ``weights``
    (layer by layer, forward before backward). dropout: probability, between layers only, as in ``torch.nn``.
    Returns outputs (steps, batch, directions * hidden) and the last state, shaped as ``state``.
    """
    num_directions = 2 if bidirectional else 1
    last_states: list[CellState] = []
    for first in range(0, len(weights), num_directions):
        if first and dropout:
            inputs = torch.dropout(inputs, dropout, True)
        outputs = []
        for direction in range(num_directions):
            i = first + direction
            hidden_states, last = run_direction(inputs, tuple(s[i] for s in state), weights[i], direction == 1)
            outputs.append(hidden_states)
            last_states.append(last)
        inputs = torch.cat(outputs, dim=-1) if bidirectional else outputs[0]
    return inputs, tuple(torch.stack(parts) for parts in zip(*last_states, strict=True))
