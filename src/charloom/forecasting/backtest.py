"""How good forecasts would have been: the end of a series held out, and forecast from every point of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charloom.errors import Argument, SeriesError, SettingsError
from charloom.forecasting.baselines import AutoRegression, Baseline, Naive, SeasonalNaive
from charloom.forecasting.fitting import fewest_points, fit, with_horizon
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.member_training import Progress
from charloom.forecasting.series import Series, Values, as_series
from charloom.settings.forecasting import USUAL_LEVELS, ForecastSettings
from charloom.wording import counted

OURS = "charloom"
_NUM_PATHS = 100


@dataclass(frozen=True)
class Scores:
    """Errors by steps ahead, each (horizon,).

    Attributes:
        rmse: Root of the mean square error, in the series' unit.
        mae: Mean absolute error.
        mase: The same, scaled by that of the seasonal naive forecast (naive where there is no season) within the
            training part. Source: Hyndman and Koehler, Another look at measures of forecast accuracy, 2006.
    """

    rmse: Values
    mae: Values
    mase: Values


@dataclass(frozen=True)
class Backtest:
    """What was measured on the end that was held out.

    Attributes:
        scores: By the method's name; ours is ``charloom``.
        coverage: By the level that was claimed, the share of true values inside: (horizon,).
        num_forecasts: How many forecasts of each step there were: (horizon,).
        num_fitted: Points that everything was fitted to.
        season: Points in a season, 1 where there is none.
        forecaster: Ours, fitted to the first ``num_fitted`` points.
    """

    scores: dict[str, Scores]
    coverage: dict[float, Values]
    num_forecasts: NDArray[np.int64]
    num_fitted: int
    season: int
    forecaster: Forecaster


def _usual_baselines(season: int, tau: int | None) -> list[Baseline]:
    seasonal: list[Baseline] = [SeasonalNaive(season)] if season > 1 else []
    return [Naive(), *seasonal, AutoRegression(tau or (season + 1 if season > 1 else 4))]


def usual_held_out(length: int, horizon: int) -> int:
    """A fifth of the series, and no fewer points than the horizon; 0 where the rest would be too short to fit to."""
    held_out = max(length // 5, horizon)
    return held_out if length - held_out >= fewest_points(horizon) else 0


def check_backtest(held_out: int | None, tau: int | None) -> None:
    """Raises SettingsError for what no series allows."""
    if held_out is not None and held_out < 1:
        raise SettingsError("it must be at least 1", setting="held_out", value=held_out)
    if tau is not None:
        AutoRegression(tau)


def _num_held_out(length: int, horizon: int, held_out: int | None) -> int:
    """Points to hold out. Raises SeriesError if the series is too short, SettingsError if held_out does not fit it."""
    number = max(length // 5, horizon) if held_out is None else held_out
    most = length - fewest_points(horizon)
    if horizon <= number <= most:
        return number
    if most < horizon:
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
        f"forecast {horizon} ahead: {fewest_points(horizon)} are needed to fit to",
        hint=change,
    )


def backtest(
    series: Series | Sequence[float] | NDArray[np.floating],
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    held_out: int | None = None,
    baselines: Sequence[Baseline] | None = None,
    tau: int | None = None,
    levels: Sequence[float] = USUAL_LEVELS,
    progress: Progress | None = None,
) -> Backtest:
    """Fits to the beginning of a series once, then forecasts from every point of the end, given all before it.

    Args:
        series: Evenly spaced values, the oldest first.
        settings: The defaults where None.
        horizon: Steps ahead, in place of the settings'.
        held_out: How many points at the end are held out; a fifth, at least the horizon, where None.
        baselines: Beside ours; where None naive, seasonal naive where there is a season, and an autoregression.
        tau: The order of that; a season and a point, or 4, where None.
        levels: Of intervals whose coverage is measured.
        progress: Called with the share of the fit that is done.

    Raises SeriesError where too little is left to fit to.
    """
    settings = with_horizon(settings, horizon)
    series = as_series(series)
    horizon = settings.horizon
    check_backtest(held_out, tau)
    held_out = _num_held_out(len(series), horizon, held_out)
    num_fitted = len(series) - held_out
    training = series.head(num_fitted)
    if baselines is None and tau is not None:
        AutoRegression(tau).fit(training.values)  # what is wrong with tau is said before the long fit
    forecaster = fit(training, settings, progress=progress)
    season = forecaster.season
    origins = np.arange(num_fitted, len(series))
    found = forecaster.forecast_from(series.values, origins, num_paths=max(_NUM_PATHS, settings.members))
    unit = _naive_error(training.values, season)
    scores = {OURS: _score(series.values, origins, found.mean, unit)}
    for baseline in _usual_baselines(season, tau) if baselines is None else baselines:
        baseline.fit(training.values)
        with np.errstate(all="ignore"):  # an unstable autoregression leaves the range of floats
            forecasts = baseline.forecast(series.values, origins, horizon)
            scores[baseline.name] = _score(series.values, origins, forecasts, unit)
    coverage = {}
    for level in levels:
        low, high = found.interval(level)
        inside = [
            (low[known, step] <= true) & (true <= high[known, step])
            for step, known, true in _true_values(series.values, origins, horizon)
        ]
        coverage[level] = np.array([hits.mean() for hits in inside])
    counts = np.array([int(known.sum()) for _, known, _ in _true_values(series.values, origins, horizon)])
    return Backtest(scores, coverage, counts, num_fitted, season, forecaster)


def _true_values(
    values: Values, origins: NDArray[np.int64], horizon: int
) -> list[tuple[int, NDArray[np.bool_], Values]]:
    """For each step ahead: which origins' true value is known, and those values."""
    cases = []
    for step in range(horizon):
        known = origins + step < len(values)
        cases.append((step, known, values[origins[known] + step]))
    return cases


def _score(values: Values, origins: NDArray[np.int64], forecasts: Values, unit: float) -> Scores:
    cases = _true_values(values, origins, forecasts.shape[1])
    errors = [true - forecasts[known, step] for step, known, true in cases]
    rmse = np.array([np.sqrt(np.mean(e**2)) for e in errors])
    mae = np.array([np.mean(np.abs(e)) for e in errors])
    return Scores(rmse, mae, mae / unit)


def _naive_error(values: Values, season: int) -> float:
    return float(np.mean(np.abs(values[season:] - values[:-season]))) or 1.0
