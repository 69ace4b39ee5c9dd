"""Forecasts without a network: plain models to compare with, or to forecast with if they are better."""

import numpy as np

from charloom.errors import CharloomError, InputError, SeriesError, SettingsError, pluralize
from charloom.forecasting.autoregression import Linear, Places, least_squares
from charloom.forecasting.series import SeriesLike, Values, as_series
from charloom.settings.forecasting import MAX_HORIZON
from charloom.settings.limits import check_count

_MAX_PAST = 1_000_000


class Baseline:
    """A way to forecast that is fitted to the training part once: here one that is linear in past values.

    Later steps are fed the forecasts before them. A class of your own that forecasts otherwise has a ``name`` and
    overrides ``fit`` and ``forecast``.

    Attributes:
        name: For tables.
        fewest_points: Points that ``fit`` needs.
        has_level: The intercept is estimated, so that its error adds to the forecast's.
    """

    name: str
    fewest_points = 1
    has_level = False
    linear: Linear

    def fit(self, values: SeriesLike) -> None:
        """Estimates the coefficients. Raises SeriesError or SettingsError for fewer points than ``fewest_points``."""
        values = as_series(values).values
        if len(values) < self.fewest_points:
            raise self._too_few(len(values))
        self._estimate(values)

    def _estimate(self, values: Values) -> None:
        pass

    def _too_few(self, length: int) -> CharloomError:
        return SeriesError(f"{pluralize(length, 'point')} to fit {self.name} to: {self.fewest_points} are needed")

    def forecast(self, values: SeriesLike, origins: Places, horizon: int) -> Values:
        """Forecasts from each origin, the place of the first value that is not known. Returns (origins, horizon).

        Raises InputError before ``fit``, and for origins with too few values before them.
        """
        if not hasattr(self, "linear"):
            raise InputError(f"{self.name} is not fitted; call fit first")
        check_count("horizon", horizon, minimum=1, maximum=MAX_HORIZON)
        return self.linear.forecast(as_series(values).values, origins, horizon)


class Naive(Baseline):
    """All future values are the last one."""

    name = "naive"
    linear = Linear(np.ones(1), 0.0)


class SeasonalMean(Baseline):
    """The mean of the same point of the last known seasons: a season with its noise averaged out."""

    def __init__(self, season: int, num_seasons: int = 3) -> None:
        check_count("season", season, minimum=2, maximum=_MAX_PAST)
        check_count("num_seasons", num_seasons, minimum=1, maximum=_MAX_PAST // season)
        self.fewest_points = season * num_seasons
        self.name = f"seasonal mean ({season})"
        self.linear = Linear(np.tile(np.append(np.zeros(season - 1), 1 / num_seasons), num_seasons), 0.0)


class SeasonalNaive(SeasonalMean):
    """The value of the same point of the last known season."""

    def __init__(self, season: int) -> None:
        super().__init__(season, 1)
        self.name = f"seasonal naive ({season})"


class Drift(Baseline):
    """The last value, and the mean change of the training part for each step."""

    name = "drift"
    fewest_points = 2
    has_level = True

    def _estimate(self, values: Values) -> None:
        self.linear = Linear(np.ones(1), float(values[-1] - values[0]) / (len(values) - 1))


class Mean(Baseline):
    """The mean of the training part."""

    name = "mean"
    has_level = True

    def _estimate(self, values: Values) -> None:
        self.linear = Linear(np.zeros(1), float(values.mean()))


class AutoRegression(Baseline):
    """AR(num_lags) by least squares."""

    has_level = True

    def __init__(self, num_lags: int = 4) -> None:
        check_count("num_lags", num_lags, minimum=1, maximum=_MAX_PAST)
        self.num_lags = num_lags
        self.fewest_points = 2 * num_lags + 1
        self.name = f"AR({num_lags})"

    def _estimate(self, values: Values) -> None:
        self.linear = least_squares(values, self.num_lags)

    def _too_few(self, length: int) -> CharloomError:
        need = f"{pluralize(length, 'point')} to fit to need one below {(length + 1) // 2}"
        return SettingsError(need, setting="num_lags", value=self.num_lags)
