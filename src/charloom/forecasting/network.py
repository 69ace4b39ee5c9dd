"""The network that corrects a linear forecast: a recurrent layer, and the mean and variance of what is left."""

from typing import TypeAlias

import torch
from torch import Tensor, nn

from charloom.layers import CELLS
from charloom.settings.model import Cell
from charloom.shapes import State

_LARGEST_LOG_VARIANCE = 6.0

Correction: TypeAlias = tuple[Tensor, Tensor]
"""Mean and log variance of the next linear error, in units of the linear part's spread."""


class CorrectionNetwork(nn.Module):
    """One recurrent layer and a Gaussian head; with new weights it corrects nothing."""

    def __init__(self, cell: Cell, hidden_size: int) -> None:
        super().__init__()
        self.layer = CELLS[cell](2, hidden_size, dtype=torch.float32)
        self.head = nn.Linear(hidden_size, 2, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Correction, State]:
        """Reads (steps, batch, 2) inputs. Returns the correction after each step, (steps, batch), and the state."""
        outputs, state = self.layer(inputs, state)
        mean, log_variance = self.head(outputs).unbind(-1)
        return (mean, log_variance.clamp(-_LARGEST_LOG_VARIANCE, _LARGEST_LOG_VARIANCE)), state


def gaussian_nats(correction: Correction, targets: Tensor) -> Tensor:
    """How surprising targets are, in nats over a constant; everything (steps, batch)."""
    mean, log_variance = correction
    return 0.5 * (log_variance + (targets - mean) ** 2 * torch.exp(-log_variance))
