"""Backtest: errors and coverage of forecasts from every point of the held-out end of a series."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charloom.errors import SettingsError
from charloom.forecasting.autoregression import select_future
from charloom.forecasting.baselines import Baseline
from charloom.forecasting.candidates import MIN_GAIN, compute_rmse, mean_log_error, select_best
from charloom.forecasting.fitting import check_length, fit_all, replace_horizon
from charloom.forecasting.forecast_markup import make_backtest_markup
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.intervals import sort_levels
from charloom.forecasting.network import Progress
from charloom.forecasting.series import SeriesLike, Values, as_series
from charloom.io.frames import make_frame
from charloom.settings.forecasting import DEFAULT_LEVELS, ForecastSettings
from charloom.settings.limits import check_count
from charloom_codec.arguments import check_type

if TYPE_CHECKING:
    from pandas import DataFrame

_NUM_PATHS = 100
"""Paths per origin: fewer than for a final forecast, because there are many origins."""
_MIN_VALUE = float(np.finfo(np.float64).tiny)
"""Smallest error that counts: that of a perfect forecast has no logarithm."""


@dataclass(frozen=True)
class Scores:
    """Forecast errors by number of steps ahead, each (horizon,).

    Attributes:
        rmse: Root mean squared error, in the series' unit.
        mae: Mean absolute error, in the series' unit.
        mase: Mean absolute scaled error: ``mae`` divided by that of the seasonal naive forecast (naive if there is no
            season) within the training part. Source: Hyndman and Koehler, Another look at measures of forecast
            accuracy, 2006.
    """

    rmse: Values
    mae: Values
    mase: Values


@dataclass(frozen=True)
class Backtest:
    """Errors and coverage on the held-out end of a series.

    Attributes:
        scores: Scores of each model and baseline, by name.
        best: The forecaster with the smallest errors; the one that ``fit`` chooses, if its errors are almost as small.
        coverage: Share of true values inside the prediction intervals of ``best``, by their nominal level: (horizon,).
        num_forecasts: Number of forecasts of each step: (horizon,).
        num_fitted: Number of points in the training part, which every model was fitted to.
        season: Points per season, 1 if there is none.
        forecaster: The forecaster that ``fit`` chooses from the training part alone.
    """

    scores: dict[str, Scores]
    best: Forecaster
    coverage: dict[float, Values]
    num_forecasts: NDArray[np.int64]
    num_fitted: int
    season: int
    forecaster: Forecaster

    def mean_log_error(self, name: str) -> float:
        """Returns the logarithm of a model's RMSE, averaged over steps 1, 2, 4, ... and the last."""
        return mean_log_error(self.scores[name].rmse, _MIN_VALUE)

    def to_frame(self) -> "DataFrame":
        """Returns a pandas DataFrame with a row for each model and step ahead.

        Returns:
            The columns ``model``, ``step``, from 1, ``rmse``, ``mae``, ``mase`` and ``num_forecasts``.

        Raises:
            CharloomError: pandas is not installed.
        """
        horizon, count = len(self.num_forecasts), len(self.scores)
        return make_frame(
            {
                "model": [name for name in self.scores for _ in range(horizon)],
                "step": [step + 1 for _ in range(count) for step in range(horizon)],
                "rmse": [value for one in self.scores.values() for value in one.rmse.tolist()],
                "mae": [value for one in self.scores.values() for value in one.mae.tolist()],
                "mase": [value for one in self.scores.values() for value in one.mase.tolist()],
                "num_forecasts": self.num_forecasts.tolist() * count,
            }
        )

    def _repr_html_(self) -> str:
        return make_backtest_markup(self)


def default_held_out(length: int, horizon: int) -> int:
    """Returns the default number of held-out points: a fifth of the series, at least the horizon."""
    return max(length // 5, horizon)


def _check_held_out(length: int, settings: ForecastSettings, held_out: int | None) -> int:
    """Returns the number of held-out points. Raises SeriesError or SettingsError if these or the others are too few."""
    default = default_held_out(length, settings.horizon)
    number = default if held_out is None else check_count("held_out", held_out, minimum=1)
    if number < settings.horizon:
        raise SettingsError(
            f"it must be at least the horizon, {settings.horizon}; increase it or lower the horizon",
            setting="held_out",
            value=number,
        )
    check_length(length, settings, number, is_default=held_out is None)
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
    """Fits to the first part of a series once, then forecasts from every later point, given all values before it.

    Args:
        series: Evenly spaced values, the oldest first.
        settings: Settings; the defaults if None. A method other than ``auto`` is ``best`` in any case.
        horizon: Number of steps ahead; overrides the settings.
        held_out: Number of points held out at the end; if None a fifth of the series, at least the horizon.
        baselines: Baselines to score with the settings' model; if None, all models that the series is long enough for.
        levels: Levels of the prediction intervals whose coverage is measured.
        progress: Callback with the completed share of the fit, 0 to 1.

    Raises:
        SeriesError: The training part is too short to fit to.
    """
    settings = replace_horizon(settings, horizon)
    series = as_series(series)
    levels = sort_levels(levels)
    check_type((Sequence, type(None)), baselines=baselines)
    for baseline in baselines or ():
        check_type(Baseline, baselines=baseline)
    num_fitted = len(series) - _check_held_out(len(series), settings, held_out)
    # Neither the scale nor the season may depend on held-out points.
    training = series.head(num_fitted)
    chosen, *others = fit_all(training, settings, progress, compared=baselines is None)
    compared = [chosen, *others] if baselines is None else [chosen]
    # Scores are stored by name: of two models with one name, one would be lost.
    names = [one.name for one in compared] + [one.name for one in baselines or ()]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"contain two models named {repeated!r}; remove one", setting="baselines")
    origins = np.arange(num_fitted, len(series))
    forecasts = {
        one.name: one.forecast_from(series, origins, num_paths=max(_NUM_PATHS, settings.members)) for one in compared
    }
    # Every forecaster has an interval; the scores need the mean only.
    means = {name: forecast.mean for name, forecast in forecasts.items()}
    for baseline in baselines or ():
        baseline.fit(training.values)
        with np.errstate(all="ignore"):  # an unstable autoregression may leave the range of floats
            means[baseline.name] = baseline.forecast(series.values, origins, settings.horizon)
    true = select_future(series.values, origins, settings.horizon)
    # Squares of values divided by this power of two stay in the range of floats, and such a division is exact.
    exponent = int(np.frexp(np.max(np.abs(series.values)))[1])
    # The unit of MASE uses the training part only, so that it does not depend on what is forecast.
    past = np.ldexp(training.values, -exponent)
    unit = float(np.mean(np.abs(past[chosen.season :] - past[: -chosen.season]))) or 1.0
    scores = {name: _compute_scores(true, mean, exponent, unit) for name, mean in means.items()}
    best = chosen
    if settings.method == "auto":
        # The forecaster that ``fit`` chose stays unless another leads clearly: a small lead may be chance.
        log_errors = [mean_log_error(scores[one.name].rmse, _MIN_VALUE) for one in compared]
        best = compared[select_best(log_errors, MIN_GAIN)]
    # Forecasts from the last origins reach beyond the end, so later steps have fewer true values.
    counts = np.sum(~np.isnan(true), axis=0)
    # Coverage is that of one forecaster, which the user would use, not the best at each level.
    bounds = {level: forecasts[best.name].interval(level) for level in levels}
    coverage = {level: np.sum((low <= true) & (true <= high), 0) / counts for level, (low, high) in bounds.items()}
    return Backtest(scores, best, coverage, counts, num_fitted, chosen.season, chosen)


def _compute_scores(true: Values, mean: Values, exponent: int, unit: float) -> Scores:
    """Computes scores in the series' unit. ``unit`` is the error that MASE divides by, over two to the exponent."""
    errors = np.ldexp(true, -exponent) - np.ldexp(mean, -exponent)
    mae = np.nanmean(np.abs(errors), axis=0)
    return Scores(np.ldexp(compute_rmse(errors), exponent), np.ldexp(mae, exponent), mae / unit)
