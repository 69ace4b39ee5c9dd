"""Makes the members of an ensemble, each without its block, and trains their networks."""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from charloom.forecasting.lag_selection import Kind, blocks_of, fit_lags
from charloom.forecasting.member import CorrectionNetwork, Member, gaussian_nats
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

Progress: TypeAlias = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""

_MOST_STEPS = 60
"""Minibatches of one pass: on long series one sees a part of the windows."""
_PATIENCE = 6
_LEAST_GAIN = 1e-4
_SMALLEST_SPREAD = 1e-12
"""Of errors beside the series' own spread, which is 1: smaller ones are rounding."""


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


def make_members(
    values: Values, lags: dict[Kind, float], settings: ForecastSettings
) -> tuple[list[Member], list[Values]]:
    """As many as the settings say, of blocks that share the series out; their networks correct nothing yet.

    Returns them and each linear part's errors (points,) in units of ``spread``; not a number before the first.
    """
    blocks = blocks_of(len(values), settings.members)
    linears = [fit_lags(lags, values, block) for block in blocks]
    errors = [np.append(np.full(one.order, np.nan), values[one.order :] - one.next_values(values)) for one in linears]
    outside = [np.delete(some, slice(*block)) for some, block in zip(errors, blocks, strict=True)]
    # One spread for all: a member whose block holds the only change of a series has no errors on the other points.
    spread = max(float(np.sqrt(np.mean([np.mean(some[~np.isnan(some)] ** 2) for some in outside]))), _SMALLEST_SPREAD)
    members = [
        Member(linear, spread, CorrectionNetwork(settings.cell, settings.hidden_size), block)
        for linear, block in zip(linears, blocks, strict=True)
    ]
    return members, [some / spread for some in errors]


def train_members(
    members: list[Member], batches: list[WindowBatch], settings: ForecastSettings, tell: Progress
) -> None:
    """Passes over all members in turn, until their blocks together are foretold no better; then back to the best."""
    generator = torch.Generator("cpu").manual_seed(settings.seed)
    networks = [member.network for member in members if member.network is not None]
    optimizers = [
        torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        for network in networks
    ]
    held_out = [WindowBatch(*(part[batch.held_out.sum(1) > 0] for part in batch)) for batch in batches]
    best, best_epoch, best_weights = _held_out_nats(networks, held_out), 0, _weights(networks)
    for epoch in range(1, settings.epochs + 1):
        for network, optimizer, batch in zip(networks, optimizers, batches, strict=True):
            _one_pass(network, optimizer, batch, settings.batch_size, generator)
        nats = _held_out_nats(networks, held_out)
        if nats < best - _LEAST_GAIN:
            best, best_epoch, best_weights = nats, epoch, _weights(networks)
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
    steps = min(max(1, number // batch_size // 2), _MOST_STEPS)
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


def _weights(networks: list[CorrectionNetwork]) -> list[dict[str, torch.Tensor]]:
    return [copy.deepcopy(network.state_dict()) for network in networks]
