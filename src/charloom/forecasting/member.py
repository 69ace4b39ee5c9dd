"""One member of the ensemble: a linear forecast, the network that corrects it, and the paths they draw."""

import sys
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charloom.forecasting.autoregression import Linear, Places, past_values
from charloom.forecasting.series import Values
from charloom.layers import LAYERS
from charloom.recurrence.state import map_parts
from charloom.settings.cells import CellName
from charloom.settings.limits import check_count, check_number, check_whole
from charloom.shapes import State

_FEWEST_TO_MATCH = 4
"""Pairs of draws whose spread is made exactly that of the distribution."""
_FARTHEST = 1e15
"""A path of an unstable member goes no further, in units of the series' spread: its squares stay finite."""
_LARGEST_LOG_VARIANCE = 6.0

Correction: TypeAlias = tuple[Tensor, Tensor]
"""Mean and log variance of the next linear error, in units of the linear part's spread."""


class CorrectionNetwork(nn.Module):
    """One recurrent layer and a Gaussian head; with new weights it corrects nothing."""

    def __init__(self, cell: CellName, hidden_size: int, device: str = "cpu") -> None:
        super().__init__()
        self.layer = LAYERS[cell](2, hidden_size, dtype=torch.float32, device=device)
        self.head = nn.Linear(hidden_size, 2, dtype=torch.float32, device=device)
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


@dataclass
class Member:
    """A linear part and a network that corrects it.

    Attributes:
        linear: Its forecast is what the network corrects.
        spread: Standard deviation of the linear part's errors on the points that it was fitted to.
        network: Reads windows as ``windows`` makes them; None if nothing corrects the linear part.
        block: The places that both were fitted without, from the first to before the second.
        num_fitted: Points that the linear part's intercept was estimated from, None if that is known or its error is
            left out of account.
    """

    linear: Linear
    spread: float
    network: CorrectionNetwork | None
    block: tuple[int, int]
    num_fitted: int | None = None

    def __post_init__(self) -> None:
        check_number(self.linear, "intercept", minimum=-sys.float_info.max)
        check_number(self, "spread", above_minimum=self.network is not None)
        check_whole(self, "num_fitted", optional=True)
        for place in self.block:
            check_count("block", place)

    def errors(self, values: Values) -> tuple[Values, NDArray[np.bool_]]:
        """The linear part's error at each point, in units of ``spread``, and where there is one (zero elsewhere)."""
        order = self.linear.order
        errors = np.zeros(len(values))
        errors[order:] = (values[order:] - self.linear.next_values(values)) / self.spread
        return errors, np.arange(len(values)) >= order


@dataclass(frozen=True)
class Reading:
    """How members read a series.

    Attributes:
        context: Points that a network reads.
        window_spread: The unit of what it reads.
        trust: How much of the networks' corrections is believed, 0 to 1.
    """

    context: int
    window_spread: float
    trust: float

    def __post_init__(self) -> None:
        check_whole(self, "context", minimum=0)
        check_number(self, "window_spread", maximum=_FARTHEST, above_minimum=True)
        check_number(self, "trust", maximum=1.0)


def draw_paths(
    member: Member,
    reading: Reading,
    values: Values,
    origins: Places,
    horizon: int,
    num_paths: int,
    generator: torch.Generator | None,
) -> Values:
    """Futures from each origin, the place of the first value that is not known; each step is fed the one before.

    Noise comes in pairs, a draw and its opposite, so that the mean of a linear member's paths is exact. Without a
    generator there is none, and a path is the one-step forecast fed back to itself.

    Returns (paths, origins, horizon).
    """
    order, context = member.linear.order, reading.context
    past = torch.from_numpy(past_values(values, origins, order + context)[:, ::-1].copy())
    weights = torch.from_numpy(member.linear.coefficients[::-1].copy())
    center = past[:, order:].mean(1)
    known = past.unfold(1, order, 1)[:, :-1] @ weights + member.linear.intercept
    errors = (past[:, order:] - known) / member.spread
    with torch.no_grad():
        mean = log_variance = torch.zeros(num_paths * len(origins), dtype=torch.float32, device="cpu")
        if member.network is not None:
            seen = torch.stack([(past[:, order:] - center[:, None]) / reading.window_spread, errors], dim=-1)
            (means, log_variances), state = member.network(seen.float().transpose(0, 1).contiguous())
            mean, log_variance = means[-1].repeat(num_paths), log_variances[-1].repeat(num_paths)
            state = map_parts(lambda part: part.repeat(1, num_paths, 1), state)
        center = center.repeat(num_paths)
        path = torch.empty(num_paths * len(origins), order + horizon, dtype=torch.float64, device="cpu")
        path[:, :order] = past[:, context:].repeat(num_paths, 1)
        for step in range(horizon):
            linear = path[:, step : step + order] @ weights + member.linear.intercept
            error = reading.trust * mean
            if generator is not None:
                error = error + torch.exp(0.5 * log_variance) * _paired_noise(num_paths, len(origins), generator)
            value = (linear + member.spread * error.double()).clamp(-_FARTHEST, _FARTHEST)
            path[:, order + step] = value
            if member.network is not None and step + 1 < horizon:
                seen = torch.stack([(value - center) / reading.window_spread, error.double()], dim=-1)
                (means, log_variances), state = member.network(seen.float()[None], state)
                mean, log_variance = means[0], log_variances[0]
    return path[:, order:].reshape(num_paths, len(origins), horizon).numpy()


def _paired_noise(num_paths: int, num_origins: int, generator: torch.Generator) -> Tensor:
    half = torch.randn((num_paths + 1) // 2, num_origins, generator=generator, dtype=torch.float32, device="cpu")
    if len(half) >= _FEWEST_TO_MATCH:
        # The spread of few paths would be off by chance, and its steps not as wide as each other.
        half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])[:num_paths].reshape(-1)
