"""The ensemble: linear forecasts and the networks that correct them, how these are trained, and the paths they draw."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from charloom.forecasting.autoregression import Kind, Linear, Places, blocks_of, fit_lags, past_values
from charloom.forecasting.series import Values
from charloom.layers import LAYERS
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.settings.cells import CellName
from charloom.settings.forecasting import ForecastSettings
from charloom.shapes import State

_MIN_TO_MATCH = 4
"""Pairs of draws whose spread is made exactly that of the distribution."""
_MAX_DISTANCE = 1e15
"""A path of an unstable member goes no further, in units of the series' spread: its squares stay finite."""
_MAX_LOG_VARIANCE = 6.0
_MAX_STEPS = 60
"""Minibatches of one pass: on long series one sees a part of the windows."""
_PATIENCE = 6
_MIN_GAIN = 1e-4
_MIN_SPREAD = 1e-12
"""Of errors beside the series' own spread, which is 1: smaller ones are rounding."""
_MAX_AHEAD = 32

Progress: TypeAlias = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""


class CorrectionNetwork(nn.Module):
    """One recurrent layer and a Gaussian head; with new weights it corrects nothing."""

    def __init__(self, cell: CellName, hidden_size: int, device: str = "cpu") -> None:
        super().__init__()
        self.layer = LAYERS[cell](2, hidden_size, dtype=torch.float32, device=device)
        self.head = nn.Linear(hidden_size, 2, dtype=torch.float32, device=device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[tuple[Tensor, Tensor], State]:
        """Reads (steps, batch, 2) inputs. Returns a correction after each step, and the state.

        A correction is mean and log variance of the next linear error, each (steps, batch), in units of the linear
        part's spread.
        """
        outputs, state = self.layer(inputs, state)
        mean, log_variance = self.head(outputs).unbind(-1)
        return (mean, log_variance.clamp(-_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE)), state


def gaussian_nats(correction: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    """How surprising targets are, in nats over a constant; everything (steps, batch)."""
    mean, log_variance = correction
    return 0.5 * (log_variance + (targets - mean) ** 2 * torch.exp(-log_variance))


@dataclass
class Member:
    """A linear part and a network that corrects it.

    Attributes:
        linear: Its forecast is what the network corrects.
        spread: Standard deviation of the linear part's errors on the points that it was fitted to.
        network: Reads windows as ``cut_windows`` makes them; None if nothing corrects the linear part.
        block: The places that both were fitted without, from the first to before the second.
        num_fitted: Points that the linear part's intercept was estimated from, None if that is known or its error is
            left out of account.
    """

    linear: Linear
    spread: float
    network: CorrectionNetwork | None = None
    block: tuple[int, int] = (0, 0)
    num_fitted: int | None = None


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
            state = tuple_to_state(part.repeat(1, num_paths, 1) for part in state_to_tuple(state))
        center = center.repeat(num_paths)
        path = torch.empty(num_paths * len(origins), order + horizon, dtype=torch.float64, device="cpu")
        path[:, :order] = past[:, context:].repeat(num_paths, 1)
        for step in range(horizon):
            linear = path[:, step : step + order] @ weights + member.linear.intercept
            error = reading.trust * mean
            if generator is not None:
                error = error + torch.exp(0.5 * log_variance) * _paired_noise(num_paths, len(origins), generator)
            value = (linear + member.spread * error.double()).clamp(-_MAX_DISTANCE, _MAX_DISTANCE)
            path[:, order + step] = value
            if member.network is not None and step + 1 < horizon:
                seen = torch.stack([(value - center) / reading.window_spread, error.double()], dim=-1)
                (means, log_variances), state = member.network(seen.float()[None], state)
                mean, log_variance = means[0], log_variances[0]
    return path[:, order:].reshape(num_paths, len(origins), horizon).numpy()


def _paired_noise(num_paths: int, num_origins: int, generator: torch.Generator) -> Tensor:
    half = torch.randn((num_paths + 1) // 2, num_origins, generator=generator, dtype=torch.float32, device="cpu")
    if len(half) >= _MIN_TO_MATCH:
        # The spread of few paths would be off by chance, and its steps not as wide as each other.
        half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])[:num_paths].reshape(-1)


def cut_windows(values: Values, context: int, ahead: int) -> tuple[Values, float]:
    """Every stretch of ``context + ahead`` points less the mean of its first ``context``, so that drifts do not count.

    Returns the stretches in units of their standard deviation, (windows, steps), and that deviation.
    """
    stretches = np.lib.stride_tricks.sliding_window_view(values, context + ahead)
    centred = stretches - stretches[:, :context].mean(1, keepdims=True)
    spread = float(centred.std()) or 1.0
    return centred / spread, spread


class WindowBatch(NamedTuple):
    """Windows as a network trains on them; each step's target is the next point's error of the linear part.

    Attributes:
        inputs: (windows, steps, 2): the centred value, and the linear part's error there.
        targets: (windows, steps), in units of the linear part's own error.
        fitted: (windows, steps), 1 where a target is to be learnt from.
        held_out: (windows, steps), 1 where a target was left out, and measures.
    """

    inputs: Tensor
    targets: Tensor
    fitted: Tensor
    held_out: Tensor


def make_batch(centred: Values, errors: Values, block: tuple[int, int], context: int) -> WindowBatch:
    """The windows (windows, steps) with a member's linear errors (points,), for a member that leaves a block out.

    A network needs points before its first forecast: half a context to learn, a whole one to be measured.
    """
    places = np.arange(len(centred))[:, None] + np.arange(centred.shape[1])
    known, inside = ~np.isnan(errors[places]), (places >= block[0]) & (places < block[1])
    fitted, held_out = known & ~inside, known & inside
    fitted[:, : context // 2 + 1] = False
    held_out[:, :context] = False
    targets = np.where(known, errors[places], 0.0)
    inputs = np.stack([centred, targets], axis=-1)[:, :-1]
    parts = (inputs, targets[:, 1:], fitted[:, 1:], held_out[:, 1:])
    return WindowBatch(*(torch.tensor(part, dtype=torch.float32, device="cpu") for part in parts))


def fit_members(
    values: Values, lags: dict[Kind, float], settings: ForecastSettings, tell: Progress
) -> tuple[list[Member], Reading]:
    """As many as the settings say, of blocks that share the series out, and how they read it, with full trust."""
    blocks = blocks_of(len(values), settings.members)
    linears = [fit_lags(lags, values, block) for block in blocks]
    errors = [np.append(np.full(one.order, np.nan), values[one.order :] - one.next_values(values)) for one in linears]
    outside = [np.delete(some, slice(*block)) for some, block in zip(errors, blocks, strict=True)]
    # One spread for all: a member whose block holds the only change of a series has no errors on the other points.
    spread = max(float(np.sqrt(np.mean([np.mean(some[~np.isnan(some)] ** 2) for some in outside]))), _MIN_SPREAD)
    context = min(settings.context, len(values) // 4)
    windows, window_spread = cut_windows(values, context, max(1, min(_MAX_AHEAD, len(values) // 8)))
    batches = [make_batch(windows, some / spread, block, context) for some, block in zip(errors, blocks, strict=True)]
    networks = [CorrectionNetwork(settings.cell, settings.hidden_size) for _ in blocks]
    _train(networks, batches, settings, tell)
    members = [Member(one, spread, net, block) for one, net, block in zip(linears, networks, blocks, strict=True)]
    return members, Reading(context, window_spread, trust=1.0)


def _train(
    networks: list[CorrectionNetwork], batches: list[WindowBatch], settings: ForecastSettings, tell: Progress
) -> None:
    """Passes over all in turn, until their blocks together are foretold no better; then back to the best."""
    generator = torch.Generator("cpu").manual_seed(settings.seed)
    optimizers = [
        torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        for network in networks
    ]
    held_out = [WindowBatch(*(part[batch.held_out.sum(1) > 0] for part in batch)) for batch in batches]
    best, best_epoch = _held_out_nats(networks, held_out), 0
    best_weights = copy.deepcopy([one.state_dict() for one in networks])
    for epoch in range(1, settings.epochs + 1):
        for network, optimizer, batch in zip(networks, optimizers, batches, strict=True):
            _one_pass(network, optimizer, batch, settings.batch_size, generator)
        nats = _held_out_nats(networks, held_out)
        if nats < best - _MIN_GAIN:
            best, best_epoch, best_weights = nats, epoch, copy.deepcopy([one.state_dict() for one in networks])
        tell(max(epoch / settings.epochs, (epoch - best_epoch) / _PATIENCE))
        if epoch - best_epoch >= _PATIENCE:
            break
    for network, weights in zip(networks, best_weights, strict=True):
        network.load_state_dict(weights)


def _one_pass(
    network: CorrectionNetwork,
    optimizer: torch.optim.Optimizer,
    batch: WindowBatch,
    batch_size: int,
    generator: torch.Generator,
) -> None:
    """Half of the windows, for they overlap."""
    number = len(batch.inputs)
    steps = min(max(1, number // batch_size // 2), _MAX_STEPS)
    order = torch.randperm(number, generator=generator, dtype=torch.int64, device="cpu")
    for begin in range(0, min(steps * batch_size, number), batch_size):
        chosen = order[begin : begin + batch_size]
        weights = batch.fitted[chosen].T
        if not weights.any():
            continue
        correction, _ = network(batch.inputs[chosen].transpose(0, 1).contiguous())
        loss = (weights * gaussian_nats(correction, batch.targets[chosen].T)).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def _held_out_nats(networks: list[CorrectionNetwork], batches: list[WindowBatch]) -> float:
    """Mean over all that was left out; infinite where that is not a number, or there is none."""
    total, count = 0.0, 0.0
    with torch.no_grad():
        for network, batch in zip(networks, batches, strict=True):
            if not len(batch.inputs):
                continue
            correction, _ = network(batch.inputs.transpose(0, 1).contiguous())
            total += float((batch.held_out.T * gaussian_nats(correction, batch.targets.T)).sum())
            count += float(batch.held_out.sum())
    return total / count if count and math.isfinite(total) else math.inf
