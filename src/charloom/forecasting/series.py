"""A numeric series, and what a series must be to be forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom.arguments import check_type
from charloom.errors import SeriesError
from charloom.forecasting.dates import Dates
from charloom.settings.limits import check_count

Values: TypeAlias = NDArray[np.float64]

_LARGEST = 1e300
"""Forecasts and intervals of larger values may leave the range of floats."""
_ROUNDING_STEPS = 8
"""Values that differ by no more of the float format's steps than this are one value and its rounding."""


@dataclass(frozen=True)
class Series:
    """Evenly spaced numbers. Raises SeriesError for values that cannot be forecast.

    Attributes:
        values: (points,), finite; a copy of what is given, which cannot be written to.
        name: What they are, for tables and pictures.
        dates: What each point's time is called; None where only their order is known.
        filled: How many values were missing and were interpolated.
    """

    values: Values
    name: str = "value"
    dates: Dates | None = None
    filled: int = 0

    def __post_init__(self) -> None:
        check_type(str, name=self.name)
        check_type((Dates, type(None)), dates=self.dates)
        check_count("filled", self.filled)
        array = as_array(self.values)
        if array is None or array.dtype.kind not in "biuf":
            raise SeriesError("the series is not a sequence of numbers; give a list or an array of floats")
        if array.ndim != 1:
            raise SeriesError(f"the series has {array.ndim} dimensions: it must be a sequence of numbers, one a point")
        with np.errstate(over="ignore"):  # of longer floats, which are then refused as infinite
            values = np.ma.filled(array.astype(np.float64), np.nan)
        _check_values(values)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    def head(self, length: int) -> "Series":
        """The first ``length`` points."""
        check_count("length", length, minimum=1, maximum=len(self))
        dates = None if self.dates is None else self.dates.head(length)
        return Series(self.values[:length], self.name, dates)

    def label(self, place: int) -> str:
        """The time of a point, which may lie after the end: its date, or its number from 1."""
        check_count("place", place)
        return str(place + 1) if self.dates is None else self.dates.label(place)


SeriesLike: TypeAlias = Series | Sequence[float] | NDArray[np.floating]


def as_series(series: SeriesLike) -> Series:
    """A series of whatever holds numbers. Raises SeriesError for what cannot be forecast."""
    return series if isinstance(series, Series) else Series(series)  # type: ignore[arg-type]


def as_array(numbers: object) -> NDArray[Any] | None:
    """An array of any type, masked if ``numbers`` is; None for what cannot be one."""
    try:
        return np.asanyarray(numbers)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # NumPy's and PyTorch's
        return None


def _check_values(values: Values) -> None:
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
