"""Errors of members on the blocks that they were fitted without, and how far to trust the networks' corrections."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from charloom.forecasting.autoregression import Linear, Places
from charloom.forecasting.lag_selection import Lags, compared_steps
from charloom.forecasting.member import Member, Reading, draw_paths
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

_TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_GAIN = 0.002
"""What corrections must gain in error: less may be luck."""
_NUM_PATHS = 40
_MOST_ORIGINS = 600
_FOLDS = 5
_BANDWIDTH = 0.5
_DEAD_BAND = 1.1
"""A ratio of errors that fewer fitted points may explain."""
_MOST_OPTIMISM = 3.0
_TINY = 1e-12
"""Errors below this share of the series' spread are rounding."""


def compared_origins(length: int) -> Places:
    """The origins that models are compared at: all places of a series, or evenly spaced ones of a long series."""
    return np.arange(0, length, max(1, math.ceil(length / _MOST_ORIGINS)), dtype=np.int64)


def mean_log_error(errors: Values, horizon: int) -> float:
    """Logarithm of the root mean square error, averaged over the compared steps that have errors.

    errors: (origins, horizon); not a number where unknown. Returns infinity for none, and for errors beyond floats.
    """
    found = []
    with np.errstate(all="ignore"):
        for step in compared_steps(horizon):
            some = errors[:, step - 1]
            some = some[~np.isnan(some)]
            if len(some):
                found.append(math.log(max(float(np.sqrt(np.mean(some**2))), _TINY)))
    mean = float(np.mean(found)) if found else math.inf
    return mean if math.isfinite(mean) else math.inf


def starts_of_folds(begin: int, length: int, most: int) -> list[int]:
    """Places from ``begin`` on, evenly spaced, at which a model is fitted to what came before."""
    return list(range(begin, length, max(1, math.ceil((length - begin) / most))))


def errors_after(
    fitted: Callable[[int], Linear], starts: Sequence[int], values: Values, horizon: int, *, estimated: bool
) -> tuple[Values, Values]:
    """Errors on points after those that a linear model was fitted to, and how they are expected to grow.

    Args:
        fitted: The model of the points before a place.
        starts: The places; origins from one to before the next are forecast by the same model.
        values: (points,).
        horizon: Steps ahead.
        estimated: The intercept is estimated from the points, so that its error counts in the growth.

    Returns both as (origins, horizon) for the origins of ``compared_origins``; not a number where unknown.
    """
    grid = compared_origins(len(values))
    errors = np.full((len(grid), horizon), np.nan)
    growths = errors.copy()
    for begin, end in itertools.pairwise([*starts, len(values)]):
        linear = fitted(begin)
        rows = np.flatnonzero((grid >= max(begin, linear.order)) & (grid < end))
        if len(rows):
            places = grid[rows][:, None] + np.arange(horizon)
            true = values[np.minimum(places, len(values) - 1)]
            found = true - linear.forecast(values, grid[rows], horizon)
            errors[rows] = np.where(places < len(values), found, np.nan)
            growths[rows] = linear.error_growth(horizon, begin if estimated else None)
    return errors, growths


def optimism(members: list[Member], lags: Lags, reading: Reading, values: Values, settings: ForecastSettings) -> Values:
    """By how much errors after the fitted points exceed those on blocks between them: (horizon,), 1 or more.

    A block between others is easier to forecast than the future if the series goes where it has not been. Compared are
    the linear parts, on the same points of the second half. Half of the excess counts, on a logarithmic scale: models
    of the past had fewer points than this one.
    """
    starts = starts_of_folds(len(values) // 2, len(values), _FOLDS)
    after, _ = errors_after(lambda end: lags.fit(values[:end]), starts, values, settings.horizon, estimated=True)
    linear = [Member(m.linear, m.spread, None, m.block) for m in members]
    between, _ = errors_ahead(linear, Reading(reading.context, 1.0, 0.0), values, settings, noise=False)
    common = np.isfinite(after) & np.isfinite(between)
    sizes = [np.where(common, np.abs(errors), 0.0).sum(0) for errors in (after, between)]
    counts = common.sum(0)
    steps = np.arange(1, settings.horizon + 1)
    found = np.ones(settings.horizon)
    for step in steps[counts > 0]:
        near = np.exp(-0.5 * (np.log(steps / step) / _BANDWIDTH) ** 2) * (counts > 0)
        means = [(near * size / np.maximum(counts, 1)).sum() for size in sizes]
        found[step - 1] = means[0] / means[1] if means[1] > 0 else 1.0
    return np.sqrt(np.clip(found / _DEAD_BAND, 1.0, _MOST_OPTIMISM))


def choose_trust(
    members: list[Member], values: Values, context: int, window_spread: float, settings: ForecastSettings
) -> float:
    """How much of the corrections helps most over all steps ahead, on the blocks; none where it helps little."""
    scores = []
    for trust in _TRUSTS:
        errors, _ = errors_ahead(members, Reading(context, window_spread, trust), values, settings, noise=False)
        scores.append(mean_log_error(errors, settings.horizon))
    best = int(np.argmin(scores))
    return _TRUSTS[best] if scores[best] < scores[0] - _LEAST_GAIN else 0.0


def errors_ahead(
    members: list[Member], reading: Reading, values: Values, settings: ForecastSettings, *, noise: bool = True
) -> tuple[Values, Values]:
    """Errors on the members' own blocks, and the spreads of the paths there.

    noise: Without, each member's one-step forecast is fed back to itself, and spreads are zero.

    Returns both as (origins, horizon) for the origins of ``compared_origins``; not a number where no member can
    forecast, and after the end.
    """
    generator = torch.Generator().manual_seed(settings.seed) if noise else None
    grid = compared_origins(len(values))
    errors = np.full((len(grid), settings.horizon), np.nan)
    spreads = errors.copy()
    for member in members:
        begin = max(member.linear.order + reading.context, member.block[0] - settings.horizon + 1)
        rows = np.flatnonzero((grid >= begin) & (grid < member.block[1]))
        if not len(rows):
            continue
        paths = draw_paths(member, reading, values, grid[rows], settings.horizon, _NUM_PATHS if noise else 1, generator)
        places = grid[rows][:, None] + np.arange(settings.horizon)
        inside = (places >= member.block[0]) & (places < member.block[1])
        true = values[np.minimum(places, len(values) - 1)]
        errors[rows] = np.where(inside, true - paths.mean(0), errors[rows])
        spreads[rows] = np.where(inside, paths.std(0), spreads[rows])
    return errors, spreads
