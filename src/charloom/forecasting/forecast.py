"""A forecast: its mean and its prediction intervals, in the unit of the series.

``forecaster`` makes it; ``intervals`` calibrates the widths.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from charloom.forecasting.forecast_markup import make_forecast_markup
from charloom.forecasting.intervals import interpolate_half_width
from charloom.forecasting.series import Values
from charloom.forecasting.transforms import Scale
from charloom.io.frames import make_frame

if TYPE_CHECKING:
    from pandas import DataFrame

_ROUNDING = 1e-12
"""Relative rounding error that the forecast even of a perfect line has."""


@dataclass(frozen=True)
class Forecast:
    """Forecast from one origin or from several.

    Attributes:
        mean: Forecast values: (horizon,) or (origins, horizon). The mean of the networks' sampled paths, or the value
            of the baseline; rounded if all values of the series are integers.
    """

    mean: Values
    _center: Values
    _spread: Values
    _half_widths: Values
    _scale: Scale

    def interval(self, level: float = 0.95) -> tuple[Values, Values]:
        """Computes a prediction interval.

        It does not become narrower from one step to the next, on the scale that is forecast. Its bounds are not
        negative if no value of the series is; if all values are integers, they are rounded to the nearest integers,
        halves outward. Finally the interval is widened, if necessary, to contain the mean.

        Args:
            level: Nominal coverage: the share of true values that the interval should contain, above 0, at most 0.9999.

        Returns:
            Lower and upper bounds, each shaped like ``mean``.

        Raises:
            SettingsError: The level is not in this range.
        """
        half = interpolate_half_width(self._half_widths, level, self.mean.shape[-1]) * self._spread
        rounding = _ROUNDING * (np.abs(self._center) + abs(self._scale.offset) / self._scale.spread)
        # A baseline without errors has a spread of 0 and an interval without width.
        half = np.where(self._spread > 0, np.maximum(half, rounding), 0.0)
        # The running maximum alone would accumulate the sampling errors of the spreads: average it with the largest
        # non-decreasing sequence below the widths.
        above = np.maximum.accumulate(half, axis=-1)
        below = np.minimum.accumulate(half[..., ::-1], axis=-1)[..., ::-1]
        half = (above + below) / 2
        low, high = (self._scale.from_unit(self._center + sign * half) for sign in (-1, 1))
        low, high = self._scale.round_bounds(low, high)
        # After clipping and rounding the mean may lie slightly outside its interval.
        return np.minimum(low, self.mean), np.maximum(high, self.mean)

    def to_frame(self, level: float = 0.95) -> "DataFrame":
        """Returns a pandas DataFrame with a row for each step ahead, and the bounds of an interval.

        Args:
            level: Nominal coverage of the interval, as for ``interval``.

        Returns:
            The columns ``step``, from 1, ``mean``, ``lower`` and ``upper``; if the forecast is from several origins,
            also ``origin``, their number from 0.

        Raises:
            SettingsError: The level is not in this range.
            CharloomError: pandas is not installed.
        """
        low, high = self.interval(level)
        # The axes are those of the origins, if there are several, and of the steps.
        places = dict(zip(("step", "origin"), np.indices(self.mean.shape)[::-1], strict=False))
        columns = dict(reversed(places.items())) | {"mean": self.mean, "lower": low, "upper": high}
        columns["step"] = columns["step"] + 1
        return make_frame({name: values.ravel() for name, values in columns.items()})

    def _repr_html_(self) -> str:
        return make_forecast_markup(self)
