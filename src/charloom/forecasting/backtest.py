"""Errors of forecasts in the past: the end of a series is held out, and forecast from every point of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charloom.arguments import check_type
from charloom.errors import SettingsError
from charloom.forecasting.autoregression import future_values
from charloom.forecasting.baselines import Baseline
from charloom.forecasting.candidates import MIN_GAIN, best_of, mean_log_error, root_mean_squares
from charloom.forecasting.fitting import check_length, fit_all, with_horizon
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.intervals import sorted_levels
from charloom.forecasting.network import Progress
from charloom.forecasting.series import SeriesLike, Values, as_series
from charloom.settings.forecasting import DEFAULT_LEVELS, ForecastSettings
from charloom.settings.limits import check_count

_NUM_PATHS = 100
_MIN_VALUE = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Scores:
    """Errors by steps ahead, each (horizon,).

    Attributes:
        rmse: Root of the mean square error, in the series' unit.
        mae: Mean absolute error.
        mase: The same, scaled by that of the seasonal naive forecast (naive if there is no season) within the training
            part. Source: Hyndman and Koehler, Another look at measures of forecast accuracy, 2006.
    """

    rmse: Values
    mae: Values
    mase: Values


@dataclass(frozen=True)
class Backtest:
    """Errors and coverage on the end that was held out.

    Attributes:
        scores: By the model's or the baseline's name.
        best: The forecaster with the smallest errors, unless its lead over the one that ``fit`` chooses is small.
        coverage: By the level that was claimed, the share of true values inside the intervals of ``best``: (horizon,).
        num_forecasts: How many forecasts of each step there were: (horizon,).
        num_fitted: Points that everything was fitted to.
        season: Points in a season, 1 if there is none.
        forecaster: The forecaster that ``fit`` chooses of the first ``num_fitted`` points alone.
    """

    scores: dict[str, Scores]
    best: Forecaster
    coverage: dict[float, Values]
    num_forecasts: NDArray[np.int64]
    num_fitted: int
    season: int
    forecaster: Forecaster

    def mean_log_error(self, name: str) -> float:
        """Logarithm of a model's root mean square error, averaged over steps 1, 2, 4, ... and the last.

        Models are compared by it: no step decides alone, however large its errors.
        """
        return mean_log_error(self.scores[name].rmse, _MIN_VALUE)


def default_held_out(length: int, horizon: int) -> int:
    """A fifth of the series, and no fewer points than the horizon."""
    return max(length // 5, horizon)


def _num_held_out(length: int, settings: ForecastSettings, held_out: int | None) -> int:
    """Raises SeriesError or SettingsError if these points, or those that are left, are too few."""
    number = default_held_out(length, settings.horizon)
    if held_out is not None:
        number = check_count("held_out", held_out, minimum=1)
    if number < settings.horizon:
        raise SettingsError(
            f"to measure {settings.horizon} ahead takes {settings.horizon}; raise it, or lower the horizon",
            setting="held_out",
            value=number,
        )
    check_length(length, settings, number)
    return number


def backtest(
    series: SeriesLike,
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    held_out: int | None = None,
    baselines: Sequence[Baseline] | None = None,
    levels: Sequence[float] = DEFAULT_LEVELS,
    progress: Progress | None = None,
) -> Backtest:
    """Fits to the beginning of a series once, then forecasts from every point of the end, given all before it.

    Args:
        series: Evenly spaced values, the oldest first.
        settings: The defaults if None. A model that they name is ``best`` whatever the others do.
        horizon: Steps ahead, in place of the settings'.
        held_out: How many points at the end are held out; a fifth, at least the horizon, if None.
        baselines: Scored beside the settings' model; if None, all models that the series is long enough for.
        levels: Of intervals whose coverage is measured.
        progress: Called with the share of the fit that is done.

    Raises SeriesError if too little is left to fit to.
    """
    settings = with_horizon(settings, horizon)
    series = as_series(series)
    levels = sorted_levels(levels)
    check_type((Sequence, type(None)), baselines=baselines)
    for baseline in baselines or ():
        check_type(Baseline, baselines=baseline)
    num_fitted = len(series) - _num_held_out(len(series), settings, held_out)
    training = series.head(num_fitted)
    chosen, *others = fit_all(training, settings, progress, compared=baselines is None)
    compared = [chosen, *others] if baselines is None else [chosen]
    names = [one.name for one in compared] + [one.name for one in baselines or ()]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"hold a second model named {repeated!r}; leave it out", setting="baselines")
    origins = np.arange(num_fitted, len(series))
    found = {
        one.name: one.forecast_from(series, origins, num_paths=max(_NUM_PATHS, settings.members)) for one in compared
    }
    means = {name: forecast.mean for name, forecast in found.items()}
    for baseline in baselines or ():
        baseline.fit(training.values)
        with np.errstate(all="ignore"):  # an unstable autoregression leaves the range of floats
            means[baseline.name] = baseline.forecast(series.values, origins, settings.horizon)
    true = future_values(series.values, origins, settings.horizon)
    # No square of values that are divided by this power of two leaves the range of floats.
    exponent = int(np.frexp(np.max(np.abs(series.values)))[1])
    past = np.ldexp(training.values, -exponent)
    unit = float(np.mean(np.abs(past[chosen.season :] - past[: -chosen.season]))) or 1.0
    scores = {name: _score(true, mean, exponent, unit) for name, mean in means.items()}
    best = chosen
    if settings.method == "auto":
        log_errors = [mean_log_error(scores[one.name].rmse, _MIN_VALUE) for one in compared]
        best = compared[best_of(log_errors, MIN_GAIN)]
    counts = np.sum(~np.isnan(true), axis=0)
    bounds = {level: found[best.name].interval(level) for level in levels}
    coverage = {level: np.sum((low <= true) & (true <= high), 0) / counts for level, (low, high) in bounds.items()}
    return Backtest(scores, best, coverage, counts, num_fitted, chosen.season, chosen)


def _score(true: Values, mean: Values, exponent: int, unit: float) -> Scores:
    errors = np.ldexp(true, -exponent) - np.ldexp(mean, -exponent)
    mae = np.nanmean(np.abs(errors), axis=0)
    return Scores(np.ldexp(root_mean_squares(errors), exponent), np.ldexp(mae, exponent), mae / unit)
