"""Models that can forecast a series, each with its errors on points that it was not fitted to; the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charloom.forecasting.autoregression import Linear
from charloom.forecasting.baselines import AutoRegression, Baseline, Drift, Mean, Naive, SeasonalMean, SeasonalNaive
from charloom.forecasting.member import Member, Reading
from charloom.forecasting.series import Values
from charloom.forecasting.unseen_blocks import best_of, errors_after, mean_log_error, root_mean_squares, starts_of_folds
from charloom.settings.forecasting import ForecastSettings, Method

LEAST_GAIN = 0.02
"""Least relative gain in error over the preferred model."""
_MOST_FITS = 40
_MOST_SEASONS = 3
"""That a seasonal mean averages: more of them lag behind a level that moves."""
_FEWEST_FOR_REGRESSION = 24


@dataclass(frozen=True)
class Candidate:
    """A model fitted to a whole series.

    Attributes:
        method: As in ``ForecastSettings``.
        name: For tables.
        members: Their forecasts together are the model's.
        reading: How they read a series.
        errors: (origins, horizon), by the origins of ``compared_origins``, on points that were not fitted to; not a
            number where there is none.
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
    margin = max(LEAST_GAIN, 0.5 / max(1, int(common[:, 0].sum())))
    return candidates[best_of([mean_log_error(some) for some in errors], margin)]


def usual_order(season: int) -> int:
    """Of the plain autoregression: a season and a point, or 4."""
    return season + 1 if season > 1 else 4


def plain_models(length: int, season: int, num_lags: int | None) -> dict[Method, Baseline]:
    """The models without a network that a series of this length allows, the preferred one first."""
    found: dict[Method, Baseline] = {}
    order = num_lags or usual_order(season)
    if 1 < season < length:
        found["seasonal-naive"] = SeasonalNaive(season)
        if length >= 3 * season:
            found["seasonal-mean"] = SeasonalMean(season, min(_MOST_SEASONS, length // season - 1))
    found["naive"] = Naive()
    if length > 3:
        found["mean"] = Mean()
        found["drift"] = Drift()
    if length >= max(_FEWEST_FOR_REGRESSION, 3 * order + 9):
        found["ar"] = AutoRegression(order)
    return found


def fit_plain(method: Method, baseline: Baseline, values: Values, settings: ForecastSettings) -> Candidate:
    """A plain model as a candidate. Its errors are on what follows the points that it was fitted to."""

    def fitted(end: int) -> Linear:
        baseline.fit(values[:end])
        return baseline.linear

    # If nothing is estimated once is enough.
    begin = max(baseline.fewest_points, len(values) // (2 if method == "ar" else 4))
    starts = starts_of_folds(begin, len(values), _MOST_FITS) if baseline.has_level else [baseline.fewest_points]
    errors, growths = errors_after(fitted, starts, values, settings.horizon, estimated=baseline.has_level)
    baseline.fit(values)
    first_steps = errors[:, 0][np.isfinite(errors[:, 0])]
    spread = float(np.sqrt(np.mean(first_steps**2))) if len(first_steps) else float(values.std())
    member = Member(baseline.linear, spread, num_fitted=len(values) if baseline.has_level else None)
    return Candidate(method, baseline.name, [member], Reading(0, 1.0, 0.0), errors, spread * growths)
