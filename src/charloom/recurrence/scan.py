"""The equations applied over time steps, layers and directions: the reference implementation.

``scan_direction`` is for reading, testing and debugging. In production, ``backend`` selects a faster implementation
of a direction (``native.native_direction``); the loop over layers, ``scan_layers``, is the same for both.
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

    Args:
        step: Equations of one time step.
        inputs: (steps, batch, features).
        state: Initial state, tensors (batch, hidden).
        weights: Weights of the layer in this direction.
        backward_in_time: Read the inputs from the last to the first.

    Returns:
        The hidden states in the order of the inputs, (steps, batch, hidden), and the state after the step read last.
    """
    order = range(len(inputs) - 1, -1, -1) if backward_in_time else range(len(inputs))
    # Placeholders: assignment by index puts the states of a backward direction in the order of the inputs.
    hidden_states: list[Tensor] = [inputs] * len(inputs)
    for t in order:
        state = step(inputs[t], state, weights)
        hidden_states[t] = state[0]
    # A list and one stack, because writes into a tensor in place would complicate differentiation.
    return torch.stack(hidden_states), state


RunDirection: TypeAlias = Callable[[Tensor, CellState, CellWeights, bool], tuple[Tensor, CellState]]
"""A function that runs one layer in one direction: ``scan_direction`` with its ``step`` bound, or an equivalent."""


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

    Args:
        run_direction: Implementation of one layer in one direction.
        inputs: (steps, batch, features).
        state: Initial state, tensors (layers * directions, batch, hidden), in the order of ``weights``.
        weights: Weights layer by layer, the forward direction before the backward one.
        bidirectional: Run every layer in both directions.
        dropout: Probability of dropout between layers, as in ``torch.nn``; 0 in evaluation.

    Returns:
        Outputs (steps, batch, directions * hidden), and the last state in the shape of ``state``.
    """
    num_directions = 2 if bidirectional else 1
    last_states: list[CellState] = []
    for first in range(0, len(weights), num_directions):
        # One mask for both directions, as torch.nn draws it: it drops the outputs of the layer below.
        if first and dropout:
            inputs = torch.dropout(inputs, dropout, True)
        outputs = []
        for direction in range(num_directions):
            i = first + direction
            hidden_states, last = run_direction(inputs, tuple(s[i] for s in state), weights[i], direction == 1)
            outputs.append(hidden_states)
            last_states.append(last)
        # torch.nn's order: the forward direction's features first.
        inputs = torch.cat(outputs, dim=-1) if bidirectional else outputs[0]
    return inputs, tuple(torch.stack(parts) for parts in zip(*last_states, strict=True))
