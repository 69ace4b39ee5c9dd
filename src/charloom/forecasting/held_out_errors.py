"""Errors of models on points of a series that they were not fitted to: later ones, and blocks between others.

``candidates`` compares models by them, and ``intervals`` calibrates their intervals on them.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from charloom.forecasting.autoregression import (
    Indices,
    Linear,
    compute_error_stds,
    forecast_each,
    select_future,
)
from charloom.forecasting.network import Member, ResidualConfig, draw_paths
from charloom.forecasting.regression import AutoregressionSpec, fit_averages
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

_NUM_PATHS = 20
"""Paths per origin, of which the mean and the spread are used."""
_MAX_ORIGINS = 300
_FOLDS = 5
_BANDWIDTH = 0.5
"""Bandwidth of the average over steps, on a logarithmic scale."""
_DEAD_BAND = 1.1
"""Ratio of errors that may come from fewer fitted points alone."""
_MAX_OPTIMISM = 3.0


def space_evenly(start: int, end: int, max_indices: int) -> Indices:
    """Returns evenly spaced indices from ``start`` to ``end - 1``, at most ``max_indices``."""
    return np.arange(start, end, max(1, math.ceil((end - start) / max_indices)), dtype=np.int64)


def choose_origins(length: int) -> Indices:
    """Returns the origins of a series of ``length`` points from which held-out errors are computed, at most 300.

    There is one in each of 300 equal parts of the series, at another place of the part each time: evenly spaced ones
    could all be on the same day of the week.
    """
    starts = space_evenly(0, length, _MAX_ORIGINS)
    stride = starts[1] - starts[0] if len(starts) > 1 else 1
    # Fractional parts of i^2 sqrt(2) are uniform. So are those of i sqrt(2), which nearly repeat: with some strides,
    # hardly any origin would be at one phase of a season.
    places = np.arange(len(starts)) ** 2 * math.sqrt(2) % 1.0
    origins = starts + np.floor(places * stride).astype(np.int64)
    return origins[origins < length]


def compute_later_errors(
    fit_before: Callable[[int], Linear], starts: Indices, values: Values, horizon: int, *, estimated: bool
) -> tuple[Values, Values]:
    """Computes errors of a linear model on points after those that it was fitted to.

    Args:
        fit_before: Fits the model to the points before an index.
        starts: Indices at which the model is fitted again; it forecasts from the origins up to the next one.
        values: The series: (points,).
        horizon: Number of steps ahead.
        estimated: Whether the intercept is estimated from the points; if so its error adds to the others.

    Returns:
        The errors, and their standard deviations if those of one step are 1 (``compute_error_stds``), each
        (origins, horizon), for at most 300 origins; NaN if unknown.
    """
    # All candidates use this grid of origins, so that they can be compared on common points.
    grid = choose_origins(len(values))
    true = select_future(values, grid, horizon)
    errors, stds = np.full_like(true, np.nan), np.full_like(true, np.nan)
    if not len(starts):
        return errors, stds
    models = [fit_before(start) for start in starts.tolist()]
    rows = np.flatnonzero(grid >= max(starts[0], models[0].order))
    if len(rows):
        # Each origin has the last model that was fitted to points before it.
        numbers = np.searchsorted(starts, grid[rows], side="right") - 1
        errors[rows] = true[rows] - forecast_each([models[one] for one in numbers], values, grid[rows], horizon)
        stds[rows] = compute_error_stds(models, horizon, starts.astype(float) if estimated else None)[numbers]
    return errors, stds


def compute_block_errors(
    members: list[Member], config: ResidualConfig, values: Values, settings: ForecastSettings, *, noise: bool = True
) -> tuple[Values, Values]:
    """Computes each member's errors on the block that it was not fitted to, and the spreads of its paths there.

    Args:
        members: Ensemble members.
        config: Context, units and shrinkage of the networks.
        values: The series: (points,).
        settings: The horizon and the seed.
        noise: Whether paths are sampled. If not, each member's one-step forecasts are fed back to it and spreads are 0.

    Returns:
        Errors and spreads, each (origins, horizon), for the origins of ``compute_later_errors``; NaN if no member can
        forecast from the origin, and after the end.
    """
    generator = torch.Generator("cpu").manual_seed(settings.seed) if noise else None
    grid = choose_origins(len(values))
    true = select_future(values, grid, settings.horizon)
    errors, spreads = np.full_like(true, np.nan), np.full_like(true, np.nan)
    chosen = []
    for member in members:
        start, end = member.block
        # The first origin with enough points before it that can forecast into the block.
        first = max(member.linear.order + config.context, start - settings.horizon + 1)
        rows = np.flatnonzero((grid >= first) & (grid < end))
        if len(rows):
            chosen.append((member, rows))
    if not chosen:
        return errors, spreads
    origins = [grid[rows] for _, rows in chosen]
    num_paths = [_NUM_PATHS if noise else 1] * len(chosen)
    drawn = draw_paths([one for one, _ in chosen], config, values, origins, settings.horizon, num_paths, generator)
    for (member, rows), paths in zip(chosen, drawn, strict=True):
        # A forecast from before the block may end in it, and one from within may end after it.
        indices = grid[rows, None] + np.arange(settings.horizon)
        inside = (indices >= member.block[0]) & (indices < member.block[1])
        errors[rows] = np.where(inside, true[rows] - paths.mean(0), errors[rows])
        spreads[rows] = np.where(inside, paths.std(0), spreads[rows])
    return errors, spreads


def estimate_optimism(
    members: list[Member],
    specs: dict[AutoregressionSpec, float],
    config: ResidualConfig,
    values: Values,
    settings: ForecastSettings,
) -> Values:
    """Estimates the ratio of errors after the fitted points to errors on blocks between them.

    A block between others is easier to forecast than the future if the series reaches new levels. The linear parts are
    compared, on the same points of the second half of the series.

    Returns:
        Factors for the errors on blocks: (horizon,), from 1 to the square root of 3.
    """
    starts = space_evenly(len(values) // 2, len(values), _FOLDS)
    after, _ = compute_later_errors(
        lambda end: fit_averages(specs, values[:end], [(0, 0)])[0], starts, values, settings.horizon, estimated=True
    )
    # The networks would need training on each fold; the linear parts show the effect of new levels.
    linear = [replace(member, network=None) for member in members]
    between, _ = compute_block_errors(linear, ResidualConfig(config.context, 1.0, 0.0), values, settings, noise=False)
    # Errors of different points are not comparable.
    common = np.isfinite(after) & np.isfinite(between)
    sizes = [np.where(common, np.abs(errors), 0.0).sum(0) for errors in (after, between)]
    counts = common.sum(0)
    steps = np.arange(1, settings.horizon + 1)
    found = np.ones(settings.horizon)
    for step in steps[counts > 0]:
        # A ratio of single steps would be too noisy; steps of similar distance have similar ratios.
        near = np.exp(-0.5 * (np.log(steps / step) / _BANDWIDTH) ** 2) * (counts > 0)
        means = [(near * size / np.maximum(counts, 1)).sum() for size in sizes]
        found[step - 1] = means[0] / means[1] if means[1] > 0 else 1.0
    # The square root: half of the excess counts, on a logarithmic scale, because the models of the past were fitted to
    # fewer points than the final one.
    return np.sqrt(np.clip(found / _DEAD_BAND, 1.0, _MAX_OPTIMISM))
