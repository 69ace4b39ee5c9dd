"""Models that can forecast a series, their errors on points that they were not fitted to, and the best by these."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from charloom.errors import Argument, SeriesError
from charloom.forecasting.autoregression import (
    Kind,
    Linear,
    Places,
    choose_lags,
    compared_steps,
    fit_lags,
    future_values,
)
from charloom.forecasting.baselines import AutoRegression, Baseline, Drift, Mean, Naive, SeasonalMean, SeasonalNaive
from charloom.forecasting.network import Member, Progress, Reading, draw_paths, fit_members
from charloom.forecasting.series import Values
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings, Method

_TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MIN_GAIN = 0.002
"""Minimum gain in error for which corrections are used."""
_NUM_PATHS = 40
_MAX_ORIGINS = 600
_FOLDS = 5
_BANDWIDTH = 0.5
_DEAD_BAND = 1.1
"""A ratio of errors that fewer fitted points may explain."""
_MAX_OPTIMISM = 3.0
_TINY = 1e-12
"""Errors below this share of the series' spread are rounding."""
MIN_GAIN = 0.02
"""Least relative gain in error over the preferred model."""
_MAX_FITS = 40
_MAX_SEASONS = 3
"""That a seasonal mean averages: more of them lag behind a level that moves."""
_MIN_FOR_REGRESSION = 24


def evenly_spaced(begin: int, end: int, most: int) -> Places:
    """All places from ``begin`` to before ``end``, or at most so many of them."""
    return np.arange(begin, end, max(1, math.ceil((end - begin) / most)), dtype=np.int64)


def root_mean_squares(errors: Values) -> Values:
    """Returns the root mean square for each step ahead, (horizon,), of errors (origins, horizon).

    Unknown errors are NaN; a step that has no other is NaN too.
    """
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


def errors_after(
    fitted: Callable[[int], Linear], starts: Places, values: Values, horizon: int, *, estimated: bool
) -> tuple[Values, Values]:
    """Errors on points after those that a linear model was fitted to, and how they are expected to grow.

    fitted: The model of the points before a place; origins from one of the ``starts`` to before the next are forecast
    by the same one. estimated: The intercept is estimated from the points, so that its error counts in the growth.

    Returns both as (origins, horizon) for at most 600 origins of the series; not a number where unknown.
    """
    grid = evenly_spaced(0, len(values), _MAX_ORIGINS)
    true = future_values(values, grid, horizon)
    errors, growths = np.full_like(true, np.nan), np.full_like(true, np.nan)
    for begin, end in itertools.pairwise([*starts.tolist(), len(values)]):
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
    starts = evenly_spaced(len(values) // 2, len(values), _FOLDS)
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
    return np.sqrt(np.clip(found / _DEAD_BAND, 1.0, _MAX_OPTIMISM))


def choose_trust(members: list[Member], reading: Reading, values: Values, settings: ForecastSettings) -> Reading:
    """With as much trust in corrections as helps most on the blocks, over all steps; none if it helps little."""
    tried = [replace(reading, trust=trust) for trust in _TRUSTS]
    errors = [errors_ahead(members, one, values, settings, noise=False)[0] for one in tried]
    return tried[best_of([mean_log_error(root_mean_squares(some)) for some in errors], _MIN_GAIN)]


def errors_ahead(
    members: list[Member], reading: Reading, values: Values, settings: ForecastSettings, *, noise: bool = True
) -> tuple[Values, Values]:
    """Errors on the members' own blocks, and the spreads of the paths there.

    noise: Without, each member's one-step forecast is fed back to itself, and spreads are zero.

    Returns both for the origins of ``errors_after``; not a number where no member can forecast, and after the end.
    """
    generator = torch.Generator("cpu").manual_seed(settings.seed) if noise else None
    grid = evenly_spaced(0, len(values), _MAX_ORIGINS)
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


@dataclass(frozen=True)
class Candidate:
    """A model fitted to a whole series.

    Attributes:
        members: Their forecasts together are the model's.
        errors: (origins, horizon), on points that were not fitted to; not a number where there is none.
        spreads: What the model gives for them.
    """

    method: Method
    name: str
    members: list[Member]
    reading: Reading
    errors: Values
    spreads: Values


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate with the smallest errors on the points that all can forecast; the first if others gain little."""
    common = np.all([np.isfinite(candidate.errors) for candidate in candidates], axis=0)
    errors = [root_mean_squares(np.where(common, candidate.errors, np.nan)) for candidate in candidates]
    margin = max(MIN_GAIN, 0.5 / max(1, int(common[:, 0].sum())))
    return candidates[best_of([mean_log_error(some) for some in errors], margin)]


def plain_models(length: int, season: int, settings: ForecastSettings) -> dict[Method, Baseline]:
    """The models without a network that a series of this length allows, the preferred one first.

    Raises SeriesError if the settings name a seasonal one and the series is too short for it.
    """
    found: dict[Method, Baseline] = {}
    order = settings.num_lags or (season + 1 if season > 1 else 4)
    if 1 < season < length:
        found["seasonal-naive"] = SeasonalNaive(season)
        if length >= 3 * season:
            found["seasonal-mean"] = SeasonalMean(season, min(_MAX_SEASONS, length // season - 1))
    if settings.method in ("seasonal-naive", "seasonal-mean") and settings.method not in found:
        what = f"a season of {season} is seen fewer than three times" if season > 1 else "no season was found"
        raise SeriesError(what, setting="method", value=settings.method, hint=("give ", Argument("season")))
    found["naive"] = Naive()
    if length > 3:
        found["mean"] = Mean()
        found["drift"] = Drift()
    if settings.method == "ar" or length >= max(_MIN_FOR_REGRESSION, 3 * order + 9):
        found["ar"] = AutoRegression(order)
    return found


def fit_plain(method: Method, baseline: Baseline, values: Values, settings: ForecastSettings) -> Candidate:
    """A plain model as a candidate. Its errors are on what follows the points that it was fitted to."""

    def fitted(end: int) -> Linear:
        baseline.fit(values[:end])
        return baseline.linear

    # If nothing is estimated once is enough.
    begin = max(baseline.fewest_points, len(values) // (2 if method == "ar" else 4))
    starts = evenly_spaced(begin, len(values), _MAX_FITS) if baseline.has_level else np.array([baseline.fewest_points])
    errors, growths = errors_after(fitted, starts, values, settings.horizon, estimated=baseline.has_level)
    baseline.fit(values)
    first_steps = errors[:, 0][np.isfinite(errors[:, 0])]
    spread = float(np.sqrt(np.mean(first_steps**2))) if len(first_steps) else float(values.std())
    member = Member(baseline.linear, spread, num_fitted=len(values) if baseline.has_level else None)
    return Candidate(method, baseline.name, [member], Reading(0, 1.0, 0.0), errors, spread * growths)


def fit_network(values: Values, season: int, settings: ForecastSettings, tell: Progress) -> Candidate:
    """The networks as a candidate: the linear parts, the networks' weights, the trust in them, their errors."""
    with (
        use_threads(settings.threads),
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),  # the caller's may be on; the networks are trained here
        torch.enable_grad(),
    ):
        torch.manual_seed(settings.seed)
        lags = choose_lags(values, settings.horizon, season, settings.max_lags)
        tell(0.1)
        members, reading = fit_members(values, lags, settings, lambda share: tell(0.1 + 0.6 * share))
        reading = choose_trust(members, reading, values, settings)
        tell(0.8)
        errors, spreads = errors_ahead(members, reading, values, settings)
        errors = errors * optimism(members, lags, reading, values, settings)
    return Candidate("network", "network", members, reading, errors, spreads)
