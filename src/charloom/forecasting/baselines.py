"""Forecasts without a network: the yardsticks beside ours."""

from typing import Protocol

import numpy as np

from charloom.errors import SettingsError
from charloom.forecasting.autoregression import Places, least_squares
from charloom.forecasting.series import Values


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


class Naive:
    """All future values are the last one."""

    name = "naive"

    def fit(self, values: Values) -> None:
        """Needs nothing."""

    def forecast(self, values: Values, origins: Places, horizon: int) -> Values:
        """See ``Baseline``."""
        return np.repeat(values[origins - 1][:, None], horizon, axis=1)


class SeasonalNaive:
    """The value of the same point of the last known season."""

    def __init__(self, season: int) -> None:
        if season < 2:
            raise SettingsError("a seasonal forecast needs 2 points or more", setting="season", value=season)
        self.season = season
        self.name = f"seasonal naive ({season})"

    def fit(self, values: Values) -> None:
        """Needs nothing."""

    def forecast(self, values: Values, origins: Places, horizon: int) -> Values:
        """See ``Baseline``."""
        found: Values = values[origins[:, None] - self.season + np.arange(horizon)[None] % self.season]
        return found


class AutoRegression:
    """AR(tau) by least squares; further steps are fed its own forecasts."""

    def __init__(self, tau: int = 4) -> None:
        if tau < 1:
            raise SettingsError("it must be at least 1", setting="tau", value=tau)
        self.tau = tau
        self.name = f"AR({tau})"

    def fit(self, values: Values) -> None:
        """Least squares on all points."""
        if len(values) <= 2 * self.tau:
            raise SettingsError(
                f"{len(values)} points to fit to need one below {len(values) // 2}", setting="tau", value=self.tau
            )
        self.model = least_squares(values, self.tau)

    def forecast(self, values: Values, origins: Places, horizon: int) -> Values:
        """See ``Baseline``."""
        return self.model.forecast(values, origins, horizon)
