"""Candidates: models that can forecast a series, their errors on held-out points, and the choice of the best.

``fitting`` decides which of them to fit; ``backtest`` measures the errors of the result.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from charloom.errors import Argument, Part, SeriesError, pluralize
from charloom.forecasting.autoregression import AutoregressionSpec, Indices, Linear, fit_average, select_future
from charloom.forecasting.baselines import AutoRegression, Baseline, Drift, Mean, Naive, SeasonalMean, SeasonalNaive
from charloom.forecasting.cross_validation import select_steps, weigh_specs
from charloom.forecasting.network import Member, Progress, ResidualConfig, draw_paths
from charloom.forecasting.network_training import fit_members
from charloom.forecasting.series import Values
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings, Method

_SHRINKAGES = (0.0, 0.5, 1.0)  # the first one is preferred
_NETWORK_PARAMETERS = 10
"""Parameters for which the residual networks count in Akaike's criterion: the gain in log RMSE is above 10 / points."""
_NUM_PATHS = 20
"""Paths per origin, of which the mean and the spread are used."""
_MAX_ORIGINS = 600
_FOLDS = 5
_BANDWIDTH = 0.5
"""Bandwidth of the average over steps, on a logarithmic scale."""
_DEAD_BAND = 1.1
"""Ratio of errors that may come from fewer fitted points alone."""
_MAX_OPTIMISM = 3.0
_TINY = 1e-12
"""Errors below this share of the series' spread are rounding."""
MIN_GAIN = 0.02
"""Minimum relative gain in error over the preferred model."""
_MAX_FITS = 40
"""Fits of a baseline to growing parts of the series."""
_MAX_SEASONS = 3
"""Limit of averaged seasons: the mean of more of them follows a moving level too slowly."""
_MIN_AUTOREGRESSION_POINTS = 24


def space_evenly(start: int, end: int, max_indices: int) -> Indices:
    """Returns evenly spaced indices from ``start`` to ``end - 1``, at most ``max_indices``."""
    return np.arange(start, end, max(1, math.ceil((end - start) / max_indices)), dtype=np.int64)


def compute_rmse(errors: Values) -> Values:
    """Computes the RMSE of each step from errors (origins, horizon); NaN errors are ignored.

    Returns (horizon,), NaN for a step without errors.
    """
    # A step without errors is 0 / 0, and NaN is its result.
    with np.errstate(all="ignore"):
        rmse: Values = np.sqrt(np.nansum(errors**2, axis=0) / np.sum(~np.isnan(errors), axis=0))
    return rmse


def mean_log_error(errors: Values, min_error: float = _TINY) -> float:
    """Returns the logarithm of RMSEs (horizon,), averaged over those steps of ``select_steps`` that have one.

    Errors below ``min_error`` count as ``min_error``. Returns infinity if there are no errors or an infinite one.
    """
    # Models are compared by a mean of logarithms, so that no step with large errors decides alone.
    found = errors[select_steps(len(errors)) - 1]
    found = np.log(np.maximum(found[~np.isnan(found)], min_error))
    return float(found.mean()) if len(found) and np.isfinite(found).all() else math.inf


def select_best(scores: Sequence[float], min_gain: float) -> int:
    """Returns the index of the smallest score; 0 if its gain over the first one is at most ``min_gain``."""
    best = int(np.argmin(scores))
    return best if scores[best] < scores[0] - min_gain else 0


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
        The errors, and their standard deviations if those of one step are 1 (``Linear.compute_error_std``), each
        (origins, horizon), for at most 600 origins; NaN if unknown.
    """
    # All candidates use this grid of origins, so that they can be compared on common points.
    grid = space_evenly(0, len(values), _MAX_ORIGINS)
    true = select_future(values, grid, horizon)
    errors, stds = np.full_like(true, np.nan), np.full_like(true, np.nan)
    for start, end in itertools.pairwise([*starts.tolist(), len(values)]):
        linear = fit_before(start)
        rows = np.flatnonzero((grid >= max(start, linear.order)) & (grid < end))
        if len(rows):
            errors[rows] = true[rows] - linear.forecast(values, grid[rows], horizon)
            stds[rows] = linear.compute_error_std(horizon, start if estimated else None)
    return errors, stds


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
        lambda end: fit_average(specs, values[:end]), starts, values, settings.horizon, estimated=True
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


def choose_shrinkage(
    members: list[Member], config: ResidualConfig, values: Values, settings: ForecastSettings
) -> ResidualConfig:
    """Returns the config with the shrinkage that has the smallest errors on the blocks.

    It is 0, which removes the networks from the mean, if there are none or their gain may be due to chance.
    """
    if members[0].network is None:  # then no member has one
        return replace(config, shrinkage=0.0)
    tried = [replace(config, shrinkage=shrinkage) for shrinkage in _SHRINKAGES]
    errors = [compute_block_errors(members, one, values, settings, noise=False)[0] for one in tried]
    min_gain = _NETWORK_PARAMETERS / len(values)
    return tried[select_best([mean_log_error(compute_rmse(some)) for some in errors], min_gain)]


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
    grid = space_evenly(0, len(values), _MAX_ORIGINS)
    true = select_future(values, grid, settings.horizon)
    errors, spreads = np.full_like(true, np.nan), np.full_like(true, np.nan)
    for member in members:
        start, end = member.block
        # The first origin with enough points before it that can forecast into the block.
        first = max(member.linear.order + config.context, start - settings.horizon + 1)
        rows = np.flatnonzero((grid >= first) & (grid < end))
        if len(rows):
            origins, num_paths = grid[rows], _NUM_PATHS if noise else 1
            paths = draw_paths(member, config, values, origins, settings.horizon, num_paths, generator)
            # A forecast from before the block may end in it, and one from within may end after it.
            indices = origins[:, None] + np.arange(settings.horizon)
            inside = (indices >= start) & (indices < end)
            errors[rows] = np.where(inside, true[rows] - paths.mean(0), errors[rows])
            spreads[rows] = np.where(inside, paths.std(0), spreads[rows])
    return errors, spreads


@dataclass(frozen=True)
class Candidate:
    """Model that is fitted to a whole series, with its errors on held-out points.

    Attributes:
        method: Method of the model.
        name: Name for tables.
        members: Ensemble members; one for a baseline.
        config: Context, units and shrinkage of the networks.
        errors: Errors on points that the model, or a member, was not fitted to: (origins, horizon); NaN if unknown.
        spreads: Standard deviations that the model predicts for these errors: (origins, horizon).
    """

    method: Method
    name: str
    members: list[Member]
    config: ResidualConfig
    errors: Values
    spreads: Values


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """Returns the candidate with the smallest errors on common points; the first one if the gain is small."""
    common = np.all([np.isfinite(candidate.errors) for candidate in candidates], axis=0)
    errors = [compute_rmse(np.where(common, candidate.errors, np.nan)) for candidate in candidates]
    # Few points may favor a model by chance, so the margin grows as they become fewer.
    margin = max(MIN_GAIN, 0.5 / max(1, int(common[:, 0].sum())))
    return candidates[select_best([mean_log_error(some) for some in errors], margin)]


def make_baselines(length: int, season: int, settings: ForecastSettings) -> dict[Method, Baseline]:
    """Makes the baselines that a series of this length allows, the preferred one first.

    Raises:
        SeriesError: The method is a seasonal one, and the series has no season or is too short for it.
    """
    baselines: dict[Method, Baseline] = {}
    order = settings.num_lags or (season + 1 if season > 1 else 4)
    if 1 < season < length:
        baselines["seasonal-naive"] = SeasonalNaive(season)
        if length >= 3 * season:
            # At most one season less than the series has, so that another is left to measure errors on.
            baselines["seasonal-mean"] = SeasonalMean(season, min(_MAX_SEASONS, length // season - 1))
    if settings.method in ("seasonal-naive", "seasonal-mean") and settings.method not in baselines:
        problem: tuple[Part, ...] = ("no season was detected",)
        hint: tuple[Part, ...] = ("pass the season length with ", Argument("season"))
        if season > 1:
            limit = "not more than one season" if settings.method == "seasonal-naive" else "fewer than three seasons"
            problem = (f"the {pluralize(length, 'point')} to fit to are {limit} of {season} points",)
            hint = ("pass a shorter ", Argument("season"), ", or another ", Argument("method"))
        elif settings.season is not None:
            problem = ("it requires a season, but ", Argument("season"), " is 1")
            hint += (", or another ", Argument("method"))
        raise SeriesError(*problem, setting="method", value=settings.method, hint=hint)
    baselines["naive"] = Naive()
    if length > 3:
        baselines["mean"] = Mean()
        baselines["drift"] = Drift()
    if settings.method == "ar" or length >= max(_MIN_AUTOREGRESSION_POINTS, 3 * order + 9):
        baselines["ar"] = AutoRegression(order)
    return baselines


def fit_baseline(method: Method, baseline: Baseline, values: Values, settings: ForecastSettings) -> Candidate:
    """Fits a baseline and measures its errors on points after those that it was fitted to. Returns the candidate."""

    def fit_before(end: int) -> Linear:
        baseline.fit(values[:end])
        return baseline.linear

    start = max(baseline.min_points, len(values) // (2 if method == "ar" else 4))
    # A baseline without estimates is the same for all origins: one fit is enough.
    estimated = baseline.has_intercept
    starts = space_evenly(start, len(values), _MAX_FITS) if estimated else np.array([baseline.min_points])
    with use_threads(settings.threads):
        errors, stds = compute_later_errors(fit_before, starts, values, settings.horizon, estimated=estimated)
        baseline.fit(values)  # the errors were of fits to a part
    first_steps = errors[:, 0][np.isfinite(errors[:, 0])]
    # Without a measured error, the spread of the series is the only one known.
    spread = float(np.sqrt(np.mean(first_steps**2))) if len(first_steps) else float(values.std())
    member = Member(baseline.linear, spread, num_fitted=len(values) if estimated else None)
    return Candidate(method, baseline.name, [member], ResidualConfig(0, 1.0, 0.0), errors, spread * stds)


def fit_network(values: Values, season: int, settings: ForecastSettings, report: Progress) -> Candidate:
    """Fits the ensemble of linear parts and networks, and measures its errors. Returns the candidate."""
    with (
        use_threads(settings.threads),
        # The caller's random state is restored; no GPU is used, so that of GPUs is not copied.
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),  # the caller may be in inference mode, which forbids training
        torch.enable_grad(),
    ):
        torch.manual_seed(settings.seed)
        specs = weigh_specs(values, settings.horizon, season, settings.max_lags)
        report(0.1)  # approximate share of the time
        members, config = fit_members(values, specs, settings, lambda share: report(0.1 + 0.6 * share))
        config = choose_shrinkage(members, config, values, settings)
        report(0.8)
        errors, spreads = compute_block_errors(members, config, values, settings)
        # The errors calibrate the intervals of real forecasts, which always lie after the fitted points.
        errors = errors * estimate_optimism(members, specs, config, values, settings)
    return Candidate("network", "network", members, config, errors, spreads)
