"""Forecasts without a network: plain models to compare with, or to forecast with if they are better."""

from typing import Protocol

import numpy as np

from charloom.errors import SettingsError
from charloom.forecasting.autoregression import Linear, Places, least_squares
from charloom.forecasting.series import Values
from charloom.wording import counted


class Baseline(Protocol):
    """A way to forecast that is fitted to the training part once.

    Attributes:
        name: For tables.
    """

    name: str

    def fit(self, values: Values) -> None:
        """Takes what it needs of the training part."""

    def forecast(self, values: Values, origins: Places, horizon: int) -> Values:
        """Forecasts from each origin, the place of the first value that is not known. Returns (origins, horizon)."""


class LinearBaseline:
    """A baseline whose one-step forecast is linear in past values; later steps are fed the forecasts before them.

    Attributes:
        name: For tables.
        fewest_points: Points that ``fit`` needs.
        has_level: The intercept is estimated, so that its error adds to the forecast's.
    """

    name: str
    fewest_points = 1
    has_level = False
    linear: Linear

    def fit(self, values: Values) -> None:
        """Estimates what is to be estimated; nothing here. See ``Baseline``."""

    def forecast(self, values: Values, origins: Places, horizon: int) -> Values:
        """See ``Baseline``."""
        return self.linear.forecast(values, origins, horizon)


class Naive(LinearBaseline):
    """All future values are the last one."""

    name = "naive"
    linear = Linear(np.ones(1), 0.0)


class SeasonalNaive(LinearBaseline):
    """The value of the same point of the last known season."""

    def __init__(self, season: int) -> None:
        if season < 2:
            raise SettingsError("a seasonal forecast needs 2 points or more", setting="season", value=season)
        self.season = self.fewest_points = season
        self.name = f"seasonal naive ({season})"
        self.linear = Linear(np.eye(season, dtype=np.float64)[-1], 0.0)


class SeasonalMean(LinearBaseline):
    """The mean of the same point of the last known seasons: a season with its noise averaged out."""

    def __init__(self, season: int, num_seasons: int = 3) -> None:
        if season < 2:
            raise SettingsError("a seasonal forecast needs 2 points or more", setting="season", value=season)
        if num_seasons < 1:
            raise SettingsError("it must be at least 1", setting="num_seasons", value=num_seasons)
        self.fewest_points = season * num_seasons
        self.name = f"seasonal mean ({season})"
        self.linear = Linear(np.tile(np.eye(season, dtype=np.float64)[-1] / num_seasons, num_seasons), 0.0)


class Drift(LinearBaseline):
    """The last value, and the mean change of the training part for each step."""

    name = "drift"
    fewest_points = 2
    has_level = True

    def fit(self, values: Values) -> None:
        """See ``Baseline``."""
        self.linear = Linear(np.ones(1), float(values[-1] - values[0]) / (len(values) - 1))


class Mean(LinearBaseline):
    """The mean of the training part."""

    name = "mean"
    has_level = True

    def fit(self, values: Values) -> None:
        """See ``Baseline``."""
        self.linear = Linear(np.zeros(1), float(values.mean()))


class AutoRegression(LinearBaseline):
    """AR(tau) by least squares."""

    has_level = True

    def __init__(self, tau: int = 4) -> None:
        if tau < 1:
            raise SettingsError("it must be at least 1", setting="tau", value=tau)
        self.tau = tau
        self.fewest_points = 2 * tau + 1
        self.name = f"AR({tau})"

    def fit(self, values: Values) -> None:
        """Least squares on all points. Raises SettingsError for too few."""
        if len(values) < self.fewest_points:
            raise SettingsError(
                f"{counted(len(values), 'point')} to fit to need one below {(len(values) + 1) // 2}",
                setting="tau",
                value=self.tau,
            )
        self.linear = least_squares(values, self.tau)
