"""Candidates: models that can forecast a series, and the choice of the best by their errors on held-out points.

``held_out_errors`` measures these errors; ``fitting`` decides which models to fit; ``backtest`` measures the errors of
the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from charloom.errors import Argument, Part, SeriesError, pluralize
from charloom.forecasting.autoregression import Linear
from charloom.forecasting.baselines import AutoRegression, Baseline, Drift, Mean, Naive, SeasonalMean, SeasonalNaive
from charloom.forecasting.cross_validation import select_steps, weigh_specs
from charloom.forecasting.held_out_errors import (
    compute_block_errors,
    compute_later_errors,
    estimate_optimism,
    space_evenly,
)
from charloom.forecasting.network import Member, Progress, ResidualConfig
from charloom.forecasting.network_training import fit_members
from charloom.forecasting.series import Values
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings, Method

_SHRINKAGES = (0.0, 0.5, 1.0)  # the first one is preferred
_NETWORK_PARAMETERS = 10
"""Parameters for which the residual networks count in Akaike's criterion: the gain in log RMSE is above 10 / points."""
_TINY = 1e-12
"""Errors below this share of the series' spread are rounding."""
MIN_GAIN = 0.02
"""Minimum relative gain in error over the preferred model."""
_MAX_FITS = 40
"""Fits of a baseline to growing parts of the series."""
_MAX_SEASONS = 3
"""Limit of averaged seasons: the mean of more of them follows a moving level too slowly."""
_MIN_AUTOREGRESSION_POINTS = 24


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


def choose_shrinkage(
    members: list[Member], config: ResidualConfig, values: Values, settings: ForecastSettings
) -> ResidualConfig:
    """Returns the config with the shrinkage that has the smallest errors on the blocks.

    It is 0, which removes the networks from the mean, if there are none or their gain may be due to chance.
    """
    if members[0].network is None:  # then no member has one
        return replace(config, shrinkage=0.0)
    linear = [replace(member, network=None) for member in members]
    tried = [replace(config, shrinkage=shrinkage) for shrinkage in _SHRINKAGES]
    errors = [
        # A network whose prediction counts for nothing need not read the path.
        compute_block_errors(members if one.shrinkage else linear, one, values, settings, noise=False)[0]
        for one in tried
    ]
    min_gain = _NETWORK_PARAMETERS / len(values)
    return tried[select_best([mean_log_error(compute_rmse(some)) for some in errors], min_gain)]


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
