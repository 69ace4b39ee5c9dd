"""Makes the members of an ensemble, each without its block, and trains their networks."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from charloom.forecasting.lag_selection import Lags
from charloom.forecasting.member import Member
from charloom.forecasting.network import CorrectionNetwork, gaussian_nats
from charloom.forecasting.series import Values
from charloom.forecasting.windows import WindowBatch
from charloom.settings.forecasting import ForecastSettings

Progress: TypeAlias = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""

_MOST_STEPS = 60
"""Minibatches of one pass: on long series one sees a part of the windows."""
_PATIENCE = 6
_LEAST_GAIN = 1e-4


def make_members(values: Values, lags: Lags, settings: ForecastSettings) -> list[Member]:
    """As many as the settings say, of blocks that share the series out; their networks correct nothing yet."""
    edges = np.linspace(0, len(values), settings.members + 1).astype(int)
    members = []
    for begin, end in itertools.pairwise(edges):
        linear = lags.fit(values, (int(begin), int(end)))
        errors = values[linear.order :] - linear.next_values(values)
        places = np.arange(linear.order, len(values))
        fitted = errors[(places < begin) | (places >= end)]
        spread = max(float(np.sqrt(np.mean(fitted**2))), 1e-12)
        network = CorrectionNetwork(settings.cell, settings.hidden_size)
        members.append(Member(linear, spread, network.eval(), (int(begin), int(end))))
    return members


def train_members(
    members: list[Member], batches: list[WindowBatch], settings: ForecastSettings, tell: Progress
) -> None:
    """Passes over all members in turn, until their blocks together are foretold no better; then back to the best."""
    generator = torch.Generator().manual_seed(settings.seed)
    optimizers = [
        torch.optim.AdamW(m.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        for m in members
    ]
    held_out = [batch.of_held_out() for batch in batches]
    best, best_epoch, best_weights = _held_out_nats(members, held_out), 0, _weights(members)
    for epoch in range(1, settings.epochs + 1):
        for member, optimizer, batch in zip(members, optimizers, batches, strict=True):
            _one_pass(member.network, optimizer, batch, settings.batch_size, generator)
        nats = _held_out_nats(members, held_out)
        if nats < best - _LEAST_GAIN:
            best, best_epoch, best_weights = nats, epoch, _weights(members)
        tell(max(epoch / settings.epochs, (epoch - best_epoch) / _PATIENCE))
        if epoch - best_epoch >= _PATIENCE:
            break
    for member, weights in zip(members, best_weights, strict=True):
        member.network.load_state_dict(weights)


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
    network.train()
    order = torch.randperm(number, generator=generator)
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
    network.eval()


def _held_out_nats(members: list[Member], batches: list[WindowBatch]) -> float:
    """Mean over all that was left out; infinite where that is not a number, or there is none."""
    total, count = 0.0, 0.0
    with torch.no_grad():
        for member, batch in zip(members, batches, strict=True):
            if not len(batch.inputs):
                continue
            correction, _ = member.network(batch.inputs.transpose(0, 1).contiguous())
            total += float((batch.held_out.T * gaussian_nats(correction, batch.targets.T)).sum())
            count += float(batch.held_out.sum())
    return total / count if count and math.isfinite(total) else math.inf


def _weights(members: list[Member]) -> list[dict[str, torch.Tensor]]:
    return [copy.deepcopy(member.network.state_dict()) for member in members]
