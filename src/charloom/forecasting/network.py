"""Ensemble of linear autoregressions and recurrent networks that predict their residuals, and its sampled paths.

``network_training`` trains it; ``autoregression`` has the linear parts; ``candidates`` chooses the shrinkage
and measures the errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from charloom.forecasting.autoregression import Indices, Linear, compute_responses, select_past
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
        return limit_log_variance(self.head(outputs), self.max_log_variance), state


def limit_log_variance(predictions: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Separates outputs of the head (..., 2) into mean and log variance, with the upper limit of the latter."""
    mean, log_variance = predictions.unbind(-1)
    # The exponential of an unlimited log variance could overflow in training.
    return mean, log_variance.clamp(min=_MIN_LOG_VARIANCE).clamp(max=limit)


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
    members: Sequence[Member],
    config: ResidualConfig,
    values: Values,
    origins: Sequence[Indices],
    horizon: int,
    num_paths: Sequence[int],
    generator: torch.Generator | None,
) -> list[Values]:
    """Samples paths of each member from its origins; each step is computed from the sampled steps before it.

    Args:
        members: Ensemble members.
        config: Context, units and shrinkage.
        values: Values on the model's scale: (points,).
        origins: Indices of the first unknown values, for each member: (origins,).
        horizon: Number of steps ahead.
        num_paths: Number of paths per origin, for each member.
        generator: Random-number generator; None for paths without noise, of one-step forecasts that are fed back.

    Returns:
        Paths of each member: (paths, origins, horizon).
    """
    # All members take each step together, because most of the time of small operations is that of their calls. Rows are
    # ordered by member, then path by path: repeat() puts all origins of a path together.
    counts = [len(some) * number for some, number in zip(origins, num_paths, strict=True)]
    ends = np.cumsum(counts).tolist()
    parts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    # A path is the linear forecast plus the responses to its errors. That is faster than the equation of the
    # autoregression, which reads all its past values at each step.
    responses = [torch.from_numpy(compute_responses([one.linear], horizon)[0, ::-1] * one.spread) for one in members]
    path = torch.empty(horizon, ends[-1], dtype=torch.float64, device="cpu")
    for member, some, number, part in zip(members, origins, num_paths, parts, strict=True):
        path[:, part] = torch.from_numpy(member.linear.forecast(values, some, horizon)).T.repeat(1, number)
    errors = torch.empty(horizon, ends[-1], dtype=torch.float64, device="cpu")
    feedback = _Feedback(members, config, values, origins, num_paths, parts) if members[0].network else None
    with torch.no_grad():
        for step in range(horizon):
            error = errors[step].zero_() if feedback is None else errors[step].copy_(config.shrinkage * feedback.mean)
            if generator is not None:
                noise = torch.cat(
                    [_draw_paired_noise(*sizes, generator) for sizes in zip(num_paths, map(len, origins), strict=True)]
                )
                error += noise if feedback is None else noise * feedback.std
            for response, part in zip(responses, parts, strict=True):
                path[step, part] += response[horizon - 1 - step :] @ errors[: step + 1, part]
            # The path is float64, like the linear part; the network works in float32.
            path[step].clamp_(-_MAX_ABSOLUTE_VALUE, _MAX_ABSOLUTE_VALUE)
            # Nothing needs the prediction after the last step.
            if feedback is not None and step + 1 < horizon:
                feedback.advance(path[step], error)
    return [
        path[:, part].T.reshape(number, len(some), horizon).numpy()
        for part, some, number in zip(parts, origins, num_paths, strict=True)
    ]


class _Feedback:
    """Networks of all members, which read the steps of their sampled paths.

    Attributes:
        mean: Predicted mean of the next residual, of each row of ``draw_paths``: (rows,).
        std: Predicted standard deviation: (rows,).
    """

    def __init__(
        self,
        members: Sequence[Member],
        config: ResidualConfig,
        values: Values,
        origins: Sequence[Indices],
        num_paths: Sequence[int],
        parts: Sequence[slice],
    ) -> None:
        """Reads the context of each origin."""
        self._networks = [cast(ResidualNetwork, member.network) for member in members]
        self._window_spread, self._parts = config.window_spread, parts
        self._limits = torch.empty(parts[-1].stop, dtype=torch.float32, device="cpu")
        self._center = torch.empty(parts[-1].stop, dtype=torch.float64, device="cpu")
        self._predictions = torch.empty(parts[-1].stop, 2, dtype=torch.float32, device="cpu")
        self._states: list[State] = []
        for member, network, some, number, part in zip(members, self._networks, origins, num_paths, parts, strict=True):
            # The order of time, as the layer reads it.
            past = select_past(values, some, member.linear.order + config.context)[:, ::-1]
            seen = past[:, member.linear.order :]
            center = seen.mean(1)
            # The residuals of the context are inputs of the network.
            windows = np.lib.stride_tricks.sliding_window_view(past[:, :-1], member.linear.order, axis=1)
            known = windows @ member.linear.coefficients[::-1] + member.linear.intercept
            inputs = np.stack([(seen - center[:, None]) / config.window_spread, (seen - known) / member.spread], -1)
            with torch.no_grad():
                outputs, state = network.layer(torch.from_numpy(inputs.astype(np.float32).transpose(1, 0, 2).copy()))
                self._predictions[part] = network.head(outputs[-1]).repeat(number, 1)
            self._states.append(tuple_to_state(part.repeat(1, number, 1) for part in state_to_tuple(state)))
            self._center[part] = torch.from_numpy(center).repeat(number)
            self._limits[part] = network.max_log_variance
        self._read_predictions()

    def advance(self, values: Tensor, errors: Tensor) -> None:
        """Reads the values and the errors of a step, each (rows,), and predicts the errors of the next one."""
        seen = torch.stack([(values - self._center) / self._window_spread, errors], dim=-1).float()[None]
        for i, (network, part) in enumerate(zip(self._networks, self._parts, strict=True)):
            outputs, self._states[i] = network.layer(seen[:, part], self._states[i])
            self._predictions[part] = network.head(outputs[0])
        self._read_predictions()

    def _read_predictions(self) -> None:
        self.mean, log_variance = limit_log_variance(self._predictions, self._limits)
        self.std = torch.exp(0.5 * log_variance)


def _draw_paired_noise(num_paths: int, num_origins: int, generator: torch.Generator) -> Tensor:
    """Draws antithetic pairs of standard normal noise: (paths * origins,)."""
    # The mean of a linear member's paths is exact because the noise of each pair cancels.
    half = torch.randn((num_paths + 1) // 2, num_origins, generator=generator, dtype=torch.float32, device="cpu")
    if len(half) >= _MIN_NORMALIZED_DRAWS:
        # The spread of few paths has a sampling error, different in each step: intervals would be uneven.
        half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])[:num_paths].reshape(-1)
