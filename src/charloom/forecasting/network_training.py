"""Training of the ensemble of ``network``: windows of the series, batches, epochs with early stopping."""

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from charloom.forecasting.cross_validation import split_blocks
from charloom.forecasting.ensemble import Ensemble
from charloom.forecasting.network import Member, Progress, ResidualConfig, ResidualNetwork, compute_gaussian_nll
from charloom.forecasting.regression import AutoregressionSpec, fit_averages
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

_MAX_STEPS = 16
"""Maximum number of minibatches per epoch; on a long series an epoch uses a smaller part of the windows."""
_PATIENCE = 6
_MEMBERS_PER_NETWORK = 2
"""Neighboring members that share a network: their linear parts differ, but training takes most of the time."""
_MIN_FIRST = 3
"""Minimum number of networks from whose loss the number of epochs is chosen."""
_MIN_HELD_OUT = 240
"""Number of points, if the series has as many, that the held-out blocks of these networks contain."""
_MIN_GAIN = 1e-3
"""Minimum decrease of the loss, in nats, that counts as one."""
_MIN_SPREAD = 1e-12
"""Minimum spread of residuals, given the series' spread of 1: smaller residuals are rounding errors."""
_MAX_AHEAD = 16
"""Maximum number of points of a window after its context."""


def cut_windows(values: Values, context: int, ahead: int) -> tuple[Values, float]:
    """Cuts all windows of ``context + ahead`` points and subtracts the mean of the first ``context`` points.

    Returns the windows in units of their standard deviation, (windows, steps), and that deviation.
    """
    # Centering makes the inputs independent of the level, which may move beyond the fitted range.
    windows = np.lib.stride_tricks.sliding_window_view(values, context + ahead)
    centered = windows - windows[:, :context].mean(1, keepdims=True)
    spread = float(centered.std()) or 1.0
    return centered / spread, spread


class WindowBatch(NamedTuple):
    """Windows that a network is trained and validated on.

    Attributes:
        inputs: Centered values and residuals of the linear part: (windows, steps, 2).
        targets: Residuals of the next points: (windows, steps).
        fitted: 1 for targets to train on, else 0: (windows, steps).
        held_out: 1 for targets to validate on, in the held-out block, else 0: (windows, steps).
    """

    inputs: Tensor
    targets: Tensor
    fitted: Tensor
    held_out: Tensor


def make_batch(centered: Values, errors: Values, block: tuple[int, int], context: int) -> WindowBatch:
    """Makes the batch of all windows for a network.

    Args:
        centered: Centered windows: (windows, steps).
        errors: Residuals of the linear part, NaN if unknown: (points,).
        block: Start and end of the held-out block.
        context: Context length.
    """
    indices = np.arange(len(centered))[:, None] + np.arange(centered.shape[1])
    known, inside = ~np.isnan(errors[indices]), (indices >= block[0]) & (indices < block[1])
    fitted, held_out = known & ~inside, known & inside
    # Validation has the full context, as forecasts do. Half of it is enough for training, and gives more targets.
    fitted[:, : context // 2 + 1] = False
    held_out[:, :context] = False
    # NaN would spread through the loss even with a weight of 0.
    targets = np.where(known, errors[indices], 0.0)
    # The residual of a step is a target of the step before it and an input of its own.
    inputs = np.stack([centered, targets], axis=-1)[:, :-1]
    parts = (inputs, targets[:, 1:], fitted[:, 1:], held_out[:, 1:])
    return WindowBatch(*(torch.tensor(part, dtype=torch.float32, device="cpu") for part in parts))


def _count_ahead(length: int) -> int:
    """Returns the number of points of a window after its context, for a series of this length."""
    return max(1, min(_MAX_AHEAD, length // 8))


def fit_members(
    values: Values, specs: dict[AutoregressionSpec, float], settings: ForecastSettings, report: Progress
) -> tuple[list[Member], ResidualConfig]:
    """Fits an ensemble member for each block of the series. Returns the members, and a config without shrinkage.

    Neighboring members have the same network, which is fitted without the blocks of both.

    Args:
        values: Values on the model's scale: (points,).
        specs: Weight of each autoregression of the linear part.
        settings: Number of members and hyperparameters of the networks.
        report: Callback with the completed share, 0 to 1.
    """
    blocks = split_blocks(len(values), settings.members)
    linears = fit_averages(specs, values, blocks)
    errors = [np.append(np.full(one.order, np.nan), values[one.order :] - one.predict_next(values)) for one in linears]
    outside = [np.delete(some, slice(*block)) for some, block in zip(errors, blocks, strict=True)]
    # All members share one spread: a member whose block has the only change of a series has no residuals elsewhere.
    spread = max(float(np.sqrt(np.mean([np.mean(some[~np.isnan(some)] ** 2) for some in outside]))), _MIN_SPREAD)
    # A short series needs windows that are shorter than itself.
    context = min(settings.context, len(values) // 4)
    windows, window_spread = cut_windows(values, context, _count_ahead(len(values)))
    # At least two networks, so that none is held out on the whole series.
    groups = np.array_split(np.arange(len(blocks)), max(2, math.ceil(len(blocks) / _MEMBERS_PER_NETWORK)))
    batches = []
    for group in groups:
        shared = np.mean([errors[i] for i in group], axis=0)
        for i in group:
            # A network is validated on residuals of the linear part that was not fitted to them.
            shared[slice(*blocks[i])] = errors[i][slice(*blocks[i])]
        block = blocks[group[0]][0], blocks[group[-1]][1]
        batches.append(make_batch(windows, shared / spread, block, context))
    networks = _train(batches, len(values), settings, report)
    members = [
        Member(linears[i], spread, copy.deepcopy(network), blocks[i])
        for group, network in zip(groups, networks, strict=True)
        for i in group
    ]
    return members, ResidualConfig(context, window_spread, shrinkage=1.0)


def _train(
    batches: list[WindowBatch], length: int, settings: ForecastSettings, report: Progress
) -> list[ResidualNetwork] | list[None]:
    """Trains a network for each batch, all for the same number of epochs.

    Args:
        batches: Windows of each network.
        length: Number of points of the series.
        settings: The seed and the hyperparameters of the networks.
        report: Callback with the completed share, 0 to 1.

    Returns:
        The networks; None for each of them if all together do not predict held-out targets better than the linear
        parts.
    """
    generator = torch.Generator("cpu").manual_seed(settings.seed)
    networks = [ResidualNetwork(settings.cell, settings.hidden_size) for _ in batches]
    # Only windows that reach into the block have targets to validate on. A quarter of them contains nearly all targets.
    every = max(1, _count_ahead(length) // 4)
    held_out = [WindowBatch(*(part[batch.held_out.sum(1) > 0][::every] for part in batch)) for batch in batches]
    # Before training, a network predicts what its linear part does.
    linear_loss = _compute_held_out_nll(networks, held_out)
    # A part of the networks, spread over the series, finds the number of epochs, because the epochs after the best one,
    # which early stopping needs, are the larger part of the time.
    num_first = min(len(batches), max(_MIN_FIRST, math.ceil(len(batches) * _MIN_HELD_OUT / length)))
    first = np.linspace(0, len(batches) - 1, num_first).astype(int).tolist()
    ensemble = Ensemble([networks[index] for index in first], settings)
    epochs = _train_with_early_stopping(
        ensemble,
        [batches[index] for index in first],
        [held_out[index] for index in first],
        settings,
        generator,
        report,
    )
    if not epochs:
        return [None] * len(batches)
    ensemble.copy_to([networks[index] for index in first])
    others = [index for index in range(len(batches)) if index not in first]
    if others:
        ensemble = Ensemble([networks[index] for index in others], settings)
        windows = [batches[index] for index in others]
        for _ in range(epochs):
            _train_epoch(ensemble, windows, settings.batch_size, generator)
        ensemble.copy_to([networks[index] for index in others])
    # The blocks of a part of the networks may favor networks by chance.
    is_better = _compute_held_out_nll(networks, held_out) < linear_loss - _MIN_GAIN
    return networks if is_better else [None] * len(batches)


def _train_with_early_stopping(
    ensemble: Ensemble,
    batches: list[WindowBatch],
    held_out: list[WindowBatch],
    settings: ForecastSettings,
    generator: torch.Generator,
    report: Progress,
) -> int:
    """Trains networks with early stopping on their common validation loss, and restores the best epoch.

    Returns the number of the best epoch; 0 if no epoch reduces the loss.
    """
    # One stopping epoch for all: the loss on a single block is too noisy to choose an epoch for each network.
    # Epoch 0, the linear forecast alone, may be the best.
    best, best_epoch = _compute_held_out_nll(ensemble.networks, held_out), 0
    best_weights = ensemble.weights.clone()
    for epoch in range(1, settings.epochs + 1):
        _train_epoch(ensemble, batches, settings.batch_size, generator)
        nats = _compute_held_out_nll(ensemble.networks, held_out)
        if nats < best - _MIN_GAIN:
            best, best_epoch, best_weights = nats, epoch, ensemble.weights.clone()
        # Training ends at the limit that is reached first.
        report(max(epoch / settings.epochs, (epoch - best_epoch) / _PATIENCE))
        if epoch - best_epoch >= _PATIENCE:
            break
    ensemble.weights.copy_(best_weights)
    return best_epoch


def _train_epoch(ensemble: Ensemble, batches: list[WindowBatch], batch_size: int, generator: torch.Generator) -> None:
    """Trains each network for one epoch, on a quarter of the windows of its batch."""
    # Windows overlap, so that a quarter of them contains each point many times.
    num_windows = len(batches[0].inputs)
    steps = min(max(1, num_windows // batch_size // 4), _MAX_STEPS)
    orders = [
        torch.randperm(num_windows, generator=generator, dtype=torch.int64, device="cpu")[: steps * batch_size]
        for _ in batches
    ]
    # One gather for all minibatches: (networks, minibatches, steps, batch, ...), the order of the layer.
    inputs, targets, fitted = (
        torch.stack(
            [part[order].unflatten(0, (steps, -1)).transpose(1, 2) for part, order in zip(parts, orders, strict=True)]
        )
        for parts in zip(*(batch[:3] for batch in batches), strict=True)
    )
    # No loss is computed for the steps before the first target.
    is_used = fitted.sum((0, 1, 3)) > 0
    first = int(is_used.nonzero()[0]) if is_used.any() else 0
    for i in range(steps):
        ensemble.train_step(inputs[:, i].unbind(), targets[:, i, first:], fitted[:, i, first:])


def _compute_held_out_nll(networks: list[ResidualNetwork], batches: list[WindowBatch]) -> float:
    """Computes the mean loss on all held-out targets; infinity if there are none or it is not finite."""
    total, count = 0.0, 0.0
    with torch.no_grad():
        for network, batch in zip(networks, batches, strict=True):
            if not len(batch.inputs):
                continue
            prediction, _ = network(batch.inputs.transpose(0, 1).contiguous())
            total += float((batch.held_out.T * compute_gaussian_nll(prediction, batch.targets.T)).sum())
            count += float(batch.held_out.sum())
    # Infinity is never an improvement: training then stops, and an earlier epoch is restored.
    return total / count if count and math.isfinite(total) else math.inf
