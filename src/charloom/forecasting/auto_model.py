"""Model with the methods of StatsForecast's models, so that charloom can be one of several models there.

``fitting`` fits it; ``forecast_table`` names the intervals.
"""

import copy
from collections.abc import Sequence
from numbers import Real
from typing import Self

import numpy as np

from charloom.errors import InputError, SettingsError
from charloom.forecasting.fitting import fit, replace_horizon
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.forecast_table import ALIAS, name_intervals
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.series import SeriesLike, Values, as_series
from charloom.settings.forecasting import ForecastSettings
from charloom_codec.arguments import check_type

_FITTED_PATHS = 100
"""Paths of an in-sample prediction: fewer than for a forecast, because there is one for each point."""
_MAX_PERCENTAGE = 99.99
"""Limit of levels in percent, of which ``intervals`` has the share."""


class AutoCharloom:
    """Automatic choice of a forecasting model, as ``fit`` makes it, with the methods of StatsForecast's models.

    Pass it to ``StatsForecast(models=[...], freq=...)``, or use it alone as in ``AutoCharloom(24).fit(y).predict(48)``.
    Levels are percentages, as in Nixtla's libraries. Exogenous variables are not supported. Intervals are those of
    charloom, calibrated on held-out errors, also if StatsForecast is called with ``prediction_intervals``.

    Args:
        season_length: Number of points per season, 1 for none; None for that of the settings, by default detected.
        settings: Settings; the defaults if None. ``fit`` chooses lags and calibrates intervals for their horizon,
            ``forecast`` for its own.
        alias: Name of the model in tables.
    """

    uses_exog = False
    """True if StatsForecast passes further columns of a frame to the model."""

    def __init__(
        self, season_length: int | None = None, settings: ForecastSettings | None = None, alias: str = ALIAS
    ) -> None:
        check_type(str, alias=alias)
        settings = replace_horizon(settings, None)
        if season_length is not None:
            settings = ForecastSettings(**(vars(settings) | {"season": season_length}))
        self.season_length = season_length
        self.settings = settings
        self.alias = alias
        # StatsForecast sets an object of its own here, which has no effect.
        self.prediction_intervals: object = None
        self._forecaster: Forecaster | None = None

    def __repr__(self) -> str:
        # StatsForecast names the columns of a model by its repr.
        return self.alias

    def new(self) -> Self:
        """Returns a copy that can be fitted to another series."""
        return copy.copy(self)

    @property
    def forecaster(self) -> Forecaster:
        """The fitted forecaster. Raises InputError before ``fit``."""
        if self._forecaster is None:
            raise InputError(f"{self.alias} is not fitted; call fit first")
        return self._forecaster

    def fit(self, y: SeriesLike, X: object = None) -> Self:  # noqa: N803 - StatsForecast's name
        """Fits to a series and returns the model itself.

        Args:
            y: At least 4 evenly spaced values, the oldest first.
            X: None; exogenous variables are refused.

        Raises:
            InputError: ``X`` is not None.
            SeriesError: As for ``charloom.forecasting.fit``.
            SettingsError: The season is longer than half of the points.
        """
        _check_exogenous(X)
        self._forecaster = fit(y, self.settings)
        return self

    def predict(
        self,
        h: int,
        X: object = None,  # noqa: N803 - StatsForecast's name
        level: Sequence[float] | None = None,
    ) -> dict[str, Values]:
        """Forecasts the values after the fitted series.

        Args:
            h: Number of steps ahead, also beyond the horizon of the settings.
            X: None; exogenous variables are refused.
            level: Levels of the prediction intervals in percent, above 0 and at most 99.99; None for no intervals.

        Returns:
            The forecast (``mean``) and the bounds of the intervals (``lo-80``, ``hi-80``), each (h,).

        Raises:
            InputError: The model is not fitted, or ``X`` is not None.
            SettingsError: The horizon or a level is invalid.
        """
        _check_exogenous(X)
        percentages = _sort_percentages(level)
        return _make_result(self.forecaster.forecast(h), percentages, "mean")

    def predict_in_sample(self, level: Sequence[float] | None = None) -> dict[str, Values]:
        """Predicts each fitted value from those before it, with the coefficients of the whole series.

        Args:
            level: Levels of the prediction intervals in percent; None for no intervals.

        Returns:
            The predictions (``fitted``) and the bounds of the intervals (``fitted-lo-80``, ``fitted-hi-80``), each
            (points,); NaN for the first points, which have too few values before them.

        Raises:
            InputError: The model is not fitted.
            SettingsError: A level is invalid.
        """
        return _predict_in_sample(self.forecaster, _sort_percentages(level))

    def forecast(
        self,
        y: SeriesLike,
        h: int,
        X: object = None,  # noqa: N803 - StatsForecast's names
        X_future: object = None,  # noqa: N803
        level: Sequence[float] | None = None,
        fitted: bool = False,
    ) -> dict[str, Values]:
        """Fits to a series for the horizon ``h`` and forecasts it, without changing the model.

        Args:
            y: At least 4 evenly spaced values, the oldest first.
            h: Number of steps ahead.
            X: None; exogenous variables are refused.
            X_future: None; exogenous variables are refused.
            level: Levels of the prediction intervals in percent; None for no intervals.
            fitted: Whether the result also contains that of ``predict_in_sample``.

        Returns:
            The result of ``predict``.

        Raises:
            InputError: ``X`` or ``X_future`` is not None.
            SeriesError: As for ``fit``.
            SettingsError: The horizon, the season or a level is invalid.
        """
        _check_exogenous(X, X_future)
        percentages = _sort_percentages(level)
        check_type(bool, fitted=fitted)
        forecaster = fit(y, self.settings, horizon=h)
        result = _make_result(forecaster.forecast(), percentages, "mean")
        return result | _predict_in_sample(forecaster, percentages) if fitted else result

    def forward(
        self,
        y: SeriesLike,
        h: int,
        X: object = None,  # noqa: N803 - StatsForecast's names
        X_future: object = None,  # noqa: N803
        level: Sequence[float] | None = None,
        fitted: bool = False,
    ) -> dict[str, Values]:
        """Forecasts another series, or a longer one, with the fitted model. Arguments and result: as for ``forecast``.

        Raises:
            InputError: The model is not fitted, the series is too short or too far from the fitted one, or ``X`` or
                ``X_future`` is not None.
            SeriesError: The series is invalid.
            SettingsError: The horizon or a level is invalid.
        """
        _check_exogenous(X, X_future)
        percentages = _sort_percentages(level)
        check_type(bool, fitted=fitted)
        result = _make_result(self.forecaster.forecast(h, history=y), percentages, "mean")
        return result | _predict_in_sample(self.forecaster, percentages, y) if fitted else result


def _check_exogenous(*variables: object) -> None:
    """Raises InputError unless all are None."""
    if any(variable is not None for variable in variables):
        raise InputError("exogenous variables are not supported", hint="pass the series alone")


def _sort_percentages(level: Sequence[float] | None) -> list[float]:
    """Returns the distinct levels in ascending order. Raises InputError unless they are a list of numbers."""
    if level is None:
        return []
    check_type(Sequence, level=level)
    for one in level:
        # A share such as 0.8 would be an interval of almost no width.
        if not isinstance(one, Real) or isinstance(one, bool) or not 1 <= one <= _MAX_PERCENTAGE:
            raise SettingsError(
                f"it must be a percentage from 1 to {_MAX_PERCENTAGE}, for example 80", setting="level", value=one
            )
    return sorted({float(one) for one in level})


def _make_result(forecast: Forecast, percentages: Sequence[float], name: str) -> dict[str, Values]:
    """Returns the mean and the bounds of the intervals by the names that StatsForecast gives them."""
    prefix = "" if name == "mean" else f"{name}-"
    return {name: forecast.mean} | name_intervals(forecast, percentages, prefix)


def _predict_in_sample(
    forecaster: Forecaster, percentages: Sequence[float], y: SeriesLike | None = None
) -> dict[str, Values]:
    """Predicts each value of a series, by default the fitted one, from those before it."""
    series = forecaster.series if y is None else as_series(y)
    first = forecaster.min_points
    # The end is an origin too, so that there is one even if all values are needed for the first; its step is dropped.
    origins = np.arange(first, len(series) + 1)
    num_paths = max(_FITTED_PATHS, forecaster.settings.members)
    result = _make_result(forecaster.forecast_from(series, origins, 1, num_paths=num_paths), percentages, "fitted")
    unknown = np.full(first, np.nan)
    return {name: np.append(unknown, values[:-1, 0]) for name, values in result.items()}
