"""Errors of forecasts in the past: the end of a series is held out, and forecast from every point of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charloom.arguments import check_type
from charloom.errors import Argument, InputError, SeriesError, SettingsError, counted
from charloom.forecasting.baselines import Baseline
from charloom.forecasting.fitting import checked, fewest_points, fit_all, plain_instead, with_horizon
from charloom.forecasting.forecaster import Forecast, Forecaster
from charloom.forecasting.intervals import sorted_levels
from charloom.forecasting.lag_selection import compared_steps
from charloom.forecasting.member_training import Progress
from charloom.forecasting.series import SeriesLike, Values, as_series
from charloom.settings.forecasting import USUAL_LEVELS, ForecastSettings, Method
from charloom.settings.limits import check_count

_NUM_PATHS = 100
_LEAST_GAIN = 0.02
"""Least relative gain in error over the model chosen before; a smaller one may be chance."""


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
        return _mean_log_error(self.scores[name])


def usual_held_out(length: int, horizon: int, model: Method = "auto") -> int:
    """A fifth of the series, and no fewer points than the horizon; 0 if the rest would be too short to fit to."""
    held_out = max(length // 5, horizon)
    return held_out if length - held_out >= fewest_points(horizon, model) else 0


def _num_held_out(length: int, settings: ForecastSettings, held_out: int | None) -> int:
    """Points to hold out. Raises SeriesError if the series is too short, SettingsError if held_out does not fit it."""
    horizon = settings.horizon
    needed = fewest_points(horizon, settings.method)
    number = max(length // 5, horizon) if held_out is None else held_out
    most = length - needed
    if horizon <= number <= most:
        return number
    if length <= fewest_points(1, settings.method):
        change = plain_instead(length - 1, settings.method)
    elif most < horizon:
        lower_both = held_out is not None and held_out > horizon
        change = ("lower ", *((Argument("held_out"), " and ") if lower_both else ()), "the horizon")
    elif number < horizon:
        raise SettingsError(
            f"to measure {horizon} ahead takes {horizon}; raise it, or lower the horizon",
            setting="held_out",
            value=number,
        )
    else:
        change = ("lower ", Argument("held_out"), f" to {most} or less")
    kind = SeriesError if held_out is None else SettingsError
    raise kind(
        f"{counted(length, 'point')} {'is' if length == 1 else 'are'} too few to hold {max(number, horizon)} out and "
        f"forecast {horizon} ahead: {needed} are needed to fit to",
        hint=change,
    )


def backtest(
    series: SeriesLike,
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    held_out: int | None = None,
    baselines: Sequence[Baseline] | None = None,
    levels: Sequence[float] = USUAL_LEVELS,
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
    if held_out is not None:
        check_count("held_out", held_out, minimum=1)
    levels = sorted_levels(levels)
    _check_baselines(baselines)
    held_out = _num_held_out(len(series), settings, held_out)
    num_fitted = len(series) - held_out
    training = series.head(num_fitted)
    compared = fit_all(training, settings, checked(progress), compared=baselines is None)
    chosen = compared[0]
    if baselines is not None:
        compared = [chosen]
    _check_names([*(one.name for one in compared), *(one.name for one in baselines or ())])
    origins = np.arange(num_fitted, len(series))
    exponent = int(np.frexp(np.max(np.abs(series.values)))[1])
    unit = _naive_error(np.ldexp(training.values, -exponent), chosen.season)
    scores: dict[str, Scores] = {}
    found: dict[str, Forecast] = {}
    for forecaster in compared:
        paths = max(_NUM_PATHS, settings.members)
        found[forecaster.name] = forecaster.forecast_from(series.values, origins, num_paths=paths)
        scores[forecaster.name] = _score(series.values, origins, found[forecaster.name].mean, unit, exponent)
    for baseline in baselines or ():
        baseline.fit(training.values)
        with np.errstate(all="ignore"):  # an unstable autoregression leaves the range of floats
            forecasts = baseline.forecast(series.values, origins, settings.horizon)
            scores[baseline.name] = _score(series.values, origins, forecasts, unit, exponent)
    best = _best(compared, scores) if settings.method == "auto" else chosen
    coverage = {}
    for level in levels:
        low, high = found[best.name].interval(level)
        inside = [
            (low[known, step] <= true) & (true <= high[known, step])
            for step, known, true in _true_values(series.values, origins, settings.horizon)
        ]
        coverage[level] = np.array([hits.mean() for hits in inside])
    counts = np.array([int(known.sum()) for _, known, _ in _true_values(series.values, origins, settings.horizon)])
    return Backtest(scores, best, coverage, counts, num_fitted, chosen.season, chosen)


def _check_baselines(baselines: Sequence[Baseline] | None) -> None:
    """Raises InputError for what is no list of baselines."""
    check_type((Sequence, type(None)), baselines=baselines)
    for baseline in baselines or ():
        if isinstance(baseline, type) or not isinstance(baseline, Baseline):
            raise InputError(f"must have fit, forecast and a name; {baseline!r:.80} has not", setting="baselines")


def _check_names(names: list[str]) -> None:
    """Raises SettingsError for two models of one name, whose scores could not be told apart."""
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"hold a second model named {repeated!r}; leave it out", setting="baselines")


def _mean_log_error(scores: Scores) -> float:
    errors = scores.rmse[compared_steps(len(scores.rmse)) - 1]
    return float(np.mean(np.log(np.maximum(errors, np.finfo(np.float64).tiny))))


def _best(compared: list[Forecaster], scores: dict[str, Scores]) -> Forecaster:
    """The forecaster with the smallest errors; the first, which ``fit`` chooses, if others gain little."""
    errors = [_mean_log_error(scores[forecaster.name]) for forecaster in compared]
    best = int(np.argmin(errors))
    return compared[best] if errors[best] < errors[0] - _LEAST_GAIN else compared[0]


def _true_values(
    values: Values, origins: NDArray[np.int64], horizon: int
) -> list[tuple[int, NDArray[np.bool_], Values]]:
    """For each step ahead: which origins' true value is known, and those values."""
    cases = []
    for step in range(horizon):
        known = origins + step < len(values)
        cases.append((step, known, values[origins[known] + step]))
    return cases


def _score(values: Values, origins: NDArray[np.int64], forecasts: Values, unit: float, exponent: int) -> Scores:
    """Errors, computed of values divided by a power of two so that no square leaves the range of floats."""
    cases = _true_values(np.ldexp(values, -exponent), origins, forecasts.shape[1])
    scaled = np.ldexp(forecasts, -exponent)
    errors = [true - scaled[known, step] for step, known, true in cases]
    rmse = np.array([np.sqrt(np.mean(e**2)) for e in errors])
    mae = np.array([np.mean(np.abs(e)) for e in errors])
    return Scores(np.ldexp(rmse, exponent), np.ldexp(mae, exponent), mae / unit)


def _naive_error(values: Values, season: int) -> float:
    return float(np.mean(np.abs(values[season:] - values[:-season]))) or 1.0
