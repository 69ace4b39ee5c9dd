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
    step: CellStep,
    inputs: Tensor,
    state: CellState,
    weights: CellWeights,
    backward_in_time: bool = False,
    *,
    batch_sizes: Tensor | None = None,
    resets: Tensor | None = None,
) -> tuple[Tensor, CellState]:
    """Runs one layer in one direction.

    Args:
        step: Equations of one time step.
        inputs: (steps, batch, features), or (rows, features) with ``batch_sizes``.
        state: Initial state, tensors (batch, hidden).
        weights: Weights of the layer in this direction.
        backward_in_time: Read the inputs from the last to the first.
        batch_sizes: Batch size of each step of a packed batch, as in ``torch.nn.utils.rnn.PackedSequence``, int64
            (steps,); None for a padded batch.
        resets: True for the first step of a new sequence within a row: no state passes between it and the step before
            it in time; at the first step of all, the forward direction's initial state is discarded. Bool (steps,
            batch); None for no resets, and for a packed batch.

    Returns:
        The hidden states in the order of the inputs, (..., hidden), and the state of each row after its step read last.
    """
    if batch_sizes is not None:
        rows_of_steps = torch.functional.split(inputs, batch_sizes.tolist())
        return _scan_packed(step, rows_of_steps, state, weights, backward_in_time)
    order = range(len(inputs) - 1, -1, -1) if backward_in_time else range(len(inputs))
    # Placeholders: assignment by index puts the states of a backward direction in the order of the inputs.
    hidden_states: list[Tensor] = [inputs] * len(inputs)
    for t in order:
        boundary = t + 1 if backward_in_time else t  # between a step and the one before it in time
        if resets is not None and boundary < len(inputs):
            # Not a product: the state before a reset may be infinite or NaN.
            reset = resets[boundary].unsqueeze(-1)
            state = tuple(part.masked_fill(reset, 0.0) for part in state)
        state = step(inputs[t], state, weights)
        hidden_states[t] = state[0]
    # A list and one stack, because writes into a tensor in place would complicate differentiation.
    return torch.stack(hidden_states), state


def _scan_packed(
    step: CellStep, inputs: Sequence[Tensor], state: CellState, weights: CellWeights, backward_in_time: bool
) -> tuple[Tensor, CellState]:
    """Implements ``scan_direction`` for inputs of each step whose numbers of rows descend."""
    hidden_states: list[Tensor] = list(inputs)
    for t in reversed(range(len(inputs))) if backward_in_time else range(len(inputs)):
        rows = len(inputs[t])
        hidden_states[t], *_ = changed = step(inputs[t], tuple(part[:rows] for part in state), weights)
        # A row without this step keeps its state: it has ended, or backward in time it has not started.
        state = tuple(torch.cat([new, old[rows:]]) for new, old in zip(changed, state, strict=True))
    return torch.cat(hidden_states), state


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
        inputs: (steps, batch, features), or (rows, features) for a ``run_direction`` of packed batches.
        state: Initial state, tensors (layers * directions, batch, hidden), in the order of ``weights``.
        weights: Weights layer by layer, the forward direction before the backward one.
        bidirectional: Run every layer in both directions.
        dropout: Probability of dropout between layers, as in ``torch.nn``; 0 in evaluation.

    Returns:
        Outputs (..., directions * hidden), and the last state in the shape of ``state``.
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
