"""A numeric series, and what a series must be to be forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom.errors import SeriesError
from charloom.forecasting.dates import Dates

Values: TypeAlias = NDArray[np.float64]

_LARGEST = 1e300
"""Forecasts and intervals of larger values may leave the range of floats."""
_ROUNDING_STEPS = 8
"""Values that differ by no more of the float format's steps than this are one value and its rounding."""


@dataclass(frozen=True)
class Series:
    """Evenly spaced numbers.

    Attributes:
        values: (points,), finite.
        name: What they are, for tables and pictures.
        dates: What each point's time is called; None where only their order is known.
        filled: How many values were missing and were interpolated.
    """

    values: Values
    name: str = "value"
    dates: Dates | None = None
    filled: int = 0

    def __len__(self) -> int:
        return len(self.values)

    def head(self, length: int) -> "Series":
        """The first ``length`` points."""
        dates = None if self.dates is None else self.dates.head(length)
        return Series(self.values[:length], self.name, dates)

    def label(self, place: int) -> str:
        """The time of a point, which may lie after the end: its date, or its number from 1."""
        return str(place + 1) if self.dates is None else self.dates.label(place)


def as_series(series: "Series | Sequence[float] | NDArray[np.floating]") -> Series:
    """A series of whatever holds numbers. Raises SeriesError for what cannot be forecast."""
    if isinstance(series, Series):
        check_values(series.values)
        return series
    try:
        if np.iscomplexobj(series):
            raise TypeError
        values = np.asarray(series, dtype=np.float64)
    except (TypeError, ValueError):
        raise SeriesError("the series is not a sequence of numbers") from None
    if values.ndim != 1:
        raise SeriesError(f"the series has {values.ndim} dimensions: it must be a sequence of numbers, one a point")
    check_values(values)
    return Series(values.copy())


def check_values(values: Values) -> None:
    """Raises SeriesError, naming the first place, for what is not finite or too large."""
    if not len(values):
        raise SeriesError("the series is empty: there is nothing to forecast")
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        what = "missing (not a number)" if np.isnan(values[bad[0]]) else "infinite"
        raise SeriesError(f"value {bad[0] + 1} of {len(values)} is {what}: fill such values, or leave them out")
    if len(large := np.flatnonzero(np.abs(values) > _LARGEST)):
        raise SeriesError(f"value {large[0] + 1} is {values[large[0]]:g}, more than {_LARGEST:g}: use a larger unit")


def is_constant(values: Values) -> bool:
    """All values are the same, but for rounding."""
    largest = np.max(np.abs(values))
    exponent = np.frexp(largest)[1]
    step = np.ldexp(np.spacing(largest), -exponent)
    return bool(np.ptp(np.ldexp(values, -exponent)) <= _ROUNDING_STEPS * step)


def interpolate_missing(values: Values) -> tuple[Values, int]:
    """Straight lines over inner gaps, and the number of points that were filled."""
    missing = np.isnan(values)
    if not missing.any() or missing.all():
        return values, 0
    places = np.arange(len(values))
    return np.where(missing, np.interp(places, places[~missing], values[~missing]), values), int(missing.sum())
