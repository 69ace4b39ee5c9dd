"""Errors of members on the blocks that they were fitted without, and how far to trust the networks' corrections."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from charloom.forecasting.autoregression import Linear, Places, future_values
from charloom.forecasting.lag_selection import Kind, compared_steps, fit_lags
from charloom.forecasting.member import Member, Reading, draw_paths
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

_TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_GAIN = 0.002
"""What corrections must gain in error."""
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


def root_mean_squares(errors: Values) -> Values:
    """Of each step ahead: (horizon,). errors: (origins, horizon); not a number where unknown, as is a step of these."""
    with np.errstate(all="ignore"):
        found: Values = np.sqrt(np.nansum(errors**2, axis=0) / np.sum(~np.isnan(errors), axis=0))
    return found


def mean_log_error(errors: Values, smallest: float = _TINY) -> float:
    """Logarithm of root mean square errors (horizon,), averaged over the compared steps that have one.

    Models are compared by it: no step decides alone, however large its errors. Smaller errors than ``smallest`` count
    as this. Returns infinity for none, and for errors beyond floats.
    """
    found = errors[compared_steps(len(errors)) - 1]
    found = np.log(np.maximum(found[~np.isnan(found)], smallest))
    return float(found.mean()) if len(found) and np.isfinite(found).all() else math.inf


def best_of(scores: Sequence[float], least_gain: float) -> int:
    """The place of the smallest score; 0 if it gains no more than this over the first: less may be chance."""
    best = int(np.argmin(scores))
    return best if scores[best] < scores[0] - least_gain else 0


def starts_of_folds(begin: int, length: int, most: int) -> list[int]:
    """Places from ``begin`` on, evenly spaced, at which a model is fitted to what came before."""
    return list(range(begin, length, max(1, math.ceil((length - begin) / most))))


def errors_after(
    fitted: Callable[[int], Linear], starts: Sequence[int], values: Values, horizon: int, *, estimated: bool
) -> tuple[Values, Values]:
    """Errors on points after those that a linear model was fitted to, and how they are expected to grow.

    fitted: The model of the points before a place; origins from one of the ``starts`` to before the next are forecast
    by the same one. estimated: The intercept is estimated from the points, so that its error counts in the growth.

    Returns both as (origins, horizon) for the origins of ``compared_origins``; not a number where unknown.
    """
    grid = compared_origins(len(values))
    true = future_values(values, grid, horizon)
    errors, growths = np.full_like(true, np.nan), np.full_like(true, np.nan)
    for begin, end in itertools.pairwise([*starts, len(values)]):
        linear = fitted(begin)
        rows = np.flatnonzero((grid >= max(begin, linear.order)) & (grid < end))
        if len(rows):
            errors[rows] = true[rows] - linear.forecast(values, grid[rows], horizon)
            growths[rows] = linear.error_growth(horizon, begin if estimated else None)
    return errors, growths


def optimism(
    members: list[Member], lags: dict[Kind, float], reading: Reading, values: Values, settings: ForecastSettings
) -> Values:
    """By how much errors after the fitted points exceed those on blocks between them: (horizon,), 1 or more.

    A block between others is easier to forecast than the future if the series goes where it has not been. Compared are
    the linear parts, on the same points of the second half. Half of the excess counts, on a logarithmic scale: models
    of the past had fewer points than this one.
    """
    starts = starts_of_folds(len(values) // 2, len(values), _FOLDS)
    after, _ = errors_after(lambda end: fit_lags(lags, values[:end]), starts, values, settings.horizon, estimated=True)
    linear = [replace(member, network=None) for member in members]
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
        scores.append(mean_log_error(root_mean_squares(errors)))
    return _TRUSTS[best_of(scores, _LEAST_GAIN)]


def errors_ahead(
    members: list[Member], reading: Reading, values: Values, settings: ForecastSettings, *, noise: bool = True
) -> tuple[Values, Values]:
    """Errors on the members' own blocks, and the spreads of the paths there.

    noise: Without, each member's one-step forecast is fed back to itself, and spreads are zero.

    Returns both as (origins, horizon) for the origins of ``compared_origins``; not a number where no member can
    forecast, and after the end.
    """
    generator = torch.Generator("cpu").manual_seed(settings.seed) if noise else None
    grid = compared_origins(len(values))
    true = future_values(values, grid, settings.horizon)
    errors, spreads = np.full_like(true, np.nan), np.full_like(true, np.nan)
    for member in members:
        begin, end = member.block
        first = max(member.linear.order + reading.context, begin - settings.horizon + 1)
        rows = np.flatnonzero((grid >= first) & (grid < end))
        if len(rows):
            origins, num_paths = grid[rows], _NUM_PATHS if noise else 1
            paths = draw_paths(member, reading, values, origins, settings.horizon, num_paths, generator)
            places = origins[:, None] + np.arange(settings.horizon)
            inside = (places >= begin) & (places < end)
            errors[rows] = np.where(inside, true[rows] - paths.mean(0), errors[rows])
            spreads[rows] = np.where(inside, paths.std(0), spreads[rows])
    return errors, spreads
