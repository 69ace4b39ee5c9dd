"""Ensemble of linear autoregressions and recurrent networks that predict their residuals, and its sampled paths.

``network_training`` trains it; ``autoregression`` has the linear parts; ``candidates`` chooses the shrinkage
and measures the errors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from charloom.forecasting.autoregression import Indices, Linear, select_past
from charloom.forecasting.series import Values
from charloom.layers import LAYERS
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.shapes import State
from charloom_codec.cells import CellName

_MIN_NORMALIZED_DRAWS = 4
"""Minimum number of noise pairs that are rescaled to the exact spread of the distribution."""
_MAX_ABSOLUTE_VALUE = 1e15
"""Limit of the absolute values of an unstable member's path, in units of the series' spread: squares stay finite."""
_MIN_LOG_VARIANCE = -6.0
"""Lower limit of the log variance, so that its exponential stays moderate."""
_MAX_LOG_VARIANCE = 3.0
"""Upper limit: a few points of a short series may teach a network a variance that makes all paths useless."""
EARLIER_MAX_LOG_VARIANCE = 6.0
"""Upper limit, larger than the present one, of networks that were saved without their limit."""

Progress: TypeAlias = Callable[[float], None]
"""Callback with the completed share, 0 to 1."""


class ResidualNetwork(nn.Module):
    """Residual network: a recurrent layer with a Gaussian head that predicts the residuals of a linear model.

    The initial weights of the head are zero: an untrained network predicts a mean of 0 and a variance of 1.

    Attributes:
        max_log_variance: Upper limit of the predicted log variance: ().
    """

    max_log_variance: Tensor

    def __init__(self, cell: CellName, hidden_size: int, device: str = "cpu") -> None:
        super().__init__()
        # Two inputs: the centered value and its residual.
        self.layer = LAYERS[cell](2, hidden_size, dtype=torch.float32, device=device)
        # Two outputs: the mean and the log variance.
        self.head = nn.Linear(hidden_size, 2, dtype=torch.float32, device=device)
        # Saved with the weights, because the intervals were calibrated with it; other versions have other limits.
        limit = torch.tensor(_MAX_LOG_VARIANCE, dtype=torch.float32, device=device)
        self.register_buffer("max_log_variance", limit)
        # Training starts from the linear forecast.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[tuple[Tensor, Tensor], State]:
        """Predicts the residual after each step.

        Args:
            inputs: Centered values, in units of ``ResidualConfig.window_spread``, and residuals, in units of the linear
                part's spread: (steps, batch, 2).
            state: Initial state; zeros if None.

        Returns:
            Mean and log variance of the next residual, each (steps, batch), in units of the linear part's spread; and
            the final state.
        """
        outputs, state = self.layer(inputs, state)
        mean, log_variance = self.head(outputs).unbind(-1)
        # The exponential of an unlimited log variance could overflow in training.
        return (mean, log_variance.clamp(min=_MIN_LOG_VARIANCE).clamp(max=self.max_log_variance)), state


def compute_gaussian_nll(prediction: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    """Computes the negative log likelihood of each target in nats, without its constant.

    All tensors, the result included, are (steps, batch).
    """
    mean, log_variance = prediction
    return 0.5 * (log_variance + (targets - mean) ** 2 * torch.exp(-log_variance))


@dataclass
class Member:
    """Ensemble member: a linear part and a network that predicts its residuals.

    Attributes:
        linear: Linear part.
        spread: Standard deviation of the linear part's residuals on the points that it was fitted to.
        network: Residual network; None for the linear part alone.
        block: Start and end of the indices that both were not fitted to.
        num_fitted: Number of points that the intercept of the linear part was estimated from; None if the intercept is
            known or its error is neglected.
    """

    linear: Linear
    spread: float
    network: ResidualNetwork | None = None
    block: tuple[int, int] = (0, 0)
    num_fitted: int | None = None


@dataclass(frozen=True)
class ResidualConfig:
    """Inputs of the residual networks and weight of their predictions, common to all members.

    Attributes:
        context: Context length: number of points that a network reads before its first forecast; 0 without a network.
        window_spread: Standard deviation of centered windows, the unit of the networks' first input. That of the
            second, the residuals, is the ``spread`` of the member.
        shrinkage: Factor by which the predicted means of the residuals are multiplied, 0 (the linear part alone) to 1
            (the full predictions). Their variances are not shrunk.
    """

    context: int
    window_spread: float
    shrinkage: float


def draw_paths(
    member: Member,
    config: ResidualConfig,
    values: Values,
    origins: Indices,
    horizon: int,
    num_paths: int,
    generator: torch.Generator | None,
) -> Values:
    """Samples paths from each origin; each step is computed from the sampled steps before it.

    Args:
        member: Ensemble member.
        config: Context, units and shrinkage.
        values: Values on the model's scale: (points,).
        origins: Indices of the first unknown values: (origins,).
        horizon: Number of steps ahead.
        num_paths: Number of paths per origin.
        generator: Random-number generator; None for paths without noise, of one-step forecasts that are fed back.

    Returns:
        Paths: (paths, origins, horizon).
    """
    order, context = member.linear.order, config.context
    # The order of time, as the layer reads it; the coefficients are reversed to match.
    past = torch.from_numpy(select_past(values, origins, order + context)[:, ::-1].copy())
    # A copy, as PyTorch has no tensors with negative strides.
    weights = torch.from_numpy(member.linear.coefficients[::-1].copy())
    center = past[:, order:].mean(1)
    # The residuals of the context are inputs of the network.
    known = past.unfold(1, order, 1)[:, :-1] @ weights + member.linear.intercept
    errors = (past[:, order:] - known) / member.spread
    with torch.no_grad():
        # Without a network: residuals of mean 0 and unit variance, in units of the spread.
        mean = log_variance = torch.zeros(num_paths * len(origins), dtype=torch.float32, device="cpu")
        if member.network is not None:
            seen = torch.stack([(past[:, order:] - center[:, None]) / config.window_spread, errors], dim=-1)
            (means, log_variances), state = member.network(seen.float().transpose(0, 1).contiguous())
            mean, log_variance = means[-1].repeat(num_paths), log_variances[-1].repeat(num_paths)
            state = tuple_to_state(part.repeat(1, num_paths, 1) for part in state_to_tuple(state))
        center = center.repeat(num_paths)
        # Known values come first, so that each step finds all its lags in the path.
        path = torch.empty(num_paths * len(origins), order + horizon, dtype=torch.float64, device="cpu")
        path[:, :order] = past[:, context:].repeat(num_paths, 1)
        for step in range(horizon):
            linear = path[:, step : step + order] @ weights + member.linear.intercept
            error = config.shrinkage * mean
            if generator is not None:
                error = error + torch.exp(0.5 * log_variance) * _draw_paired_noise(num_paths, len(origins), generator)
            # The path is float64, like the linear part; the network works in float32.
            value = (linear + member.spread * error.double()).clamp(-_MAX_ABSOLUTE_VALUE, _MAX_ABSOLUTE_VALUE)
            path[:, order + step] = value
            # Nothing needs the prediction after the last step.
            if member.network is not None and step + 1 < horizon:
                seen = torch.stack([(value - center) / config.window_spread, error.double()], dim=-1)
                (means, log_variances), state = member.network(seen.float()[None], state)
                mean, log_variance = means[0], log_variances[0]
    # Rows are ordered path by path: repeat() puts all origins of a path together.
    return path[:, order:].reshape(num_paths, len(origins), horizon).numpy()


def _draw_paired_noise(num_paths: int, num_origins: int, generator: torch.Generator) -> Tensor:
    """Draws antithetic pairs of standard normal noise: (paths * origins,)."""
    # The mean of a linear member's paths is exact because the noise of each pair cancels.
    half = torch.randn((num_paths + 1) // 2, num_origins, generator=generator, dtype=torch.float32, device="cpu")
    if len(half) >= _MIN_NORMALIZED_DRAWS:
        # The spread of few paths has a sampling error, different in each step: intervals would be uneven.
        half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])[:num_paths].reshape(-1)
