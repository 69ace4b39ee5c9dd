"""Baselines: forecasts without a network, to compare with, or to forecast with if they are better.

``regression`` has the regularized linear models whose residuals the networks predict.
"""

import numpy as np

from charloom.errors import CharloomError, InputError, SeriesError, SettingsError, pluralize
from charloom.forecasting.autoregression import Indices, Linear
from charloom.forecasting.regression import fit_least_squares
from charloom.forecasting.series import SeriesLike, Values, as_series
from charloom.settings.forecasting import MAX_HORIZON
from charloom.settings.limits import check_count

_MAX_PAST = 1_000_000
"""Limit of coefficients: each is a float in memory."""


class Baseline:
    """Baseline that is fitted to the training part once, linear in past values.

    Forecasts of later steps use the forecasts of earlier ones. Subclasses that are not linear define ``name`` and
    override ``fit`` and ``forecast``.

    Attributes:
        name: Unique name for tables.
        min_points: Minimum number of points that ``fit`` needs.
        has_intercept: Whether the intercept is estimated; if so its error adds to that of the forecast.
        linear: The linear model, after ``fit``.
    """

    name = "baseline"
    min_points = 1
    has_intercept = False
    linear: Linear

    def fit(self, values: SeriesLike) -> None:
        """Estimates the coefficients. Raises SeriesError or SettingsError for fewer points than ``min_points``."""
        values = as_series(values).values
        if len(values) < self.min_points:
            raise self._make_length_error(len(values))
        self._estimate(values)

    def _estimate(self, values: Values) -> None:
        """Estimates ``linear``; baselines with constant coefficients have nothing to estimate."""

    def _make_length_error(self, length: int) -> CharloomError:
        found = f"there {'is' if length == 1 else 'are'} only {length}"
        return SeriesError(f"{self.name} needs {pluralize(self.min_points, 'point')} to fit, but {found}")

    def forecast(self, values: SeriesLike, origins: Indices, horizon: int) -> Values:
        """Forecasts from each origin, the index of the first unknown value. Returns (origins, horizon).

        Raises:
            InputError: ``fit`` was not called, or an origin has too few values before it.
        """
        # Naive baselines have it as a class attribute and need no fit.
        if not hasattr(self, "linear"):
            raise InputError(f"{self.name} is not fitted; call fit first")
        check_count("horizon", horizon, minimum=1, maximum=MAX_HORIZON)
        return self.linear.forecast(as_series(values).values, origins, horizon)


class Naive(Baseline):
    """Naive forecast: the last value, for all steps."""

    name = "naive"
    linear = Linear(np.ones(1), 0.0)


class SeasonalMean(Baseline):
    """Mean of the same point in the last seasons: a seasonal naive forecast with less noise."""

    def __init__(self, season: int, num_seasons: int = 3) -> None:
        check_count("season", season, minimum=2, maximum=_MAX_PAST)
        check_count("num_seasons", num_seasons, minimum=1, maximum=_MAX_PAST // season)
        self.min_points = season * num_seasons
        self.name = f"seasonal mean ({season})"
        # The same point is season, 2 season, ... values back: coefficients are the latest first.
        self.linear = Linear(np.tile(np.append(np.zeros(season - 1), 1 / num_seasons), num_seasons), 0.0)


class SeasonalNaive(SeasonalMean):
    """Seasonal naive forecast: the value of the same point in the last season."""

    def __init__(self, season: int) -> None:
        super().__init__(season, 1)
        self.name = f"seasonal naive ({season})"


class Drift(Baseline):
    """Drift: the last value plus, for each step, the mean change of the training part."""

    name = "drift"
    min_points = 2
    has_intercept = True

    def _estimate(self, values: Values) -> None:
        # The mean of all changes depends on the first and the last value only.
        self.linear = Linear(np.ones(1), float(values[-1] - values[0]) / (len(values) - 1))


class Mean(Baseline):
    """Mean of the training part, for all steps."""

    name = "mean"
    has_intercept = True

    def _estimate(self, values: Values) -> None:
        # A forecast needs an order of at least 1, so a coefficient of 0.
        self.linear = Linear(np.zeros(1), float(values.mean()))


class AutoRegression(Baseline):
    """Autoregression AR(num_lags), fitted by least squares."""

    has_intercept = True

    def __init__(self, num_lags: int = 4) -> None:
        check_count("num_lags", num_lags, minimum=1, maximum=_MAX_PAST)
        self.num_lags = num_lags
        # num_lags + 1 coefficients need as many equations, and each equation needs num_lags values before its target.
        self.min_points = 2 * num_lags + 1
        self.name = f"AR({num_lags})"

    def _estimate(self, values: Values) -> None:
        self.linear = fit_least_squares(values, self.num_lags)

    def _make_length_error(self, length: int) -> CharloomError:
        verb, max_lags = "allows" if length == 1 else "allow", pluralize(max(0, length - 1) // 2, "lag")
        message = f"the {pluralize(length, 'point')} to fit to {verb} at most {max_lags}"
        return SettingsError(message, setting="num_lags", value=self.num_lags)
