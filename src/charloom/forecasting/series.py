"""Series of evenly spaced numbers, validated for forecasting.

``csv_series`` reads one from a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Integral, Real
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom.errors import SeriesError
from charloom.forecasting.csv_table import quote_cell
from charloom.forecasting.dates import Dates, describe_nanoseconds, find_notation, parse_date, read_dates
from charloom.forecasting.frames import TIME, read_frame, write_labels
from charloom.settings.limits import check_count
from charloom_codec.arguments import check_type

Values: TypeAlias = NDArray[np.float64]

_MAX_VALUE = 1e300
"""Limit of values: forecasts and intervals of larger ones may leave the range of floats."""
_MAX_EXACT = 2**53
"""Limit below which a float holds every integer."""
_MISSING = {"None", "nan", "NaN", "NaT", "<NA>"}
"""Missing values of Python, NumPy, pandas and ``Decimal``, as ``str`` writes them."""


@dataclass(frozen=True)
class Series:
    """Evenly spaced numbers. Raises SeriesError for values that cannot be forecast.

    Attributes:
        values: Finite values, a read-only copy of the argument: (points,). The argument may also be a series of pandas
            or polars, or a frame with the columns ``ds`` and ``y``, and ``unique_id`` if it has one value.
        name: Name of the values, for tables and plots. Default: that of a series or column of pandas or polars.
        dates: Dates of the points; None if only their order is known. Default: the column ``ds`` of a frame or the
            index of a pandas series, if they contain dates.
        filled: Number of missing values that were interpolated.
    """

    values: Values
    name: str = "value"
    dates: Dates | None = None
    filled: int = 0

    def __post_init__(self) -> None:
        check_type(str, name=self.name)
        check_type((Dates, type(None)), dates=self.dates)
        check_count("filled", self.filled)
        # Also objects of pandas, polars and PyTorch, without an import of any of them.
        frame = read_frame(self.values)
        array = as_array(self.values if frame is None else frame.values)
        # A single object, such as a set, becomes an array of no dimensions.
        if array is None or array.dtype.kind not in "biufO" or (array.dtype.kind == "O" and not array.ndim):
            raise SeriesError("the series is not a sequence of numbers; pass a list or an array of floats")
        if array.ndim != 1:
            raise SeriesError(f"the series has {array.ndim} dimensions; pass one number per point")
        values = _read_objects(array) if array.dtype.kind == "O" else _convert_to_floats(array)
        _check_values(array, values)
        # The class is frozen for its users.
        if frame is not None and frame.name is not None and self.name == Series.name:
            object.__setattr__(self, "name", frame.name)
        if self.dates is None and frame is not None and frame.times is not None:
            object.__setattr__(self, "dates", _read_frame_dates(write_labels(frame), frame.times_name))
        elif self.dates is None and hasattr(index := getattr(self.values, "index", None), "dtype"):
            # Libraries with the interface of pandas.
            object.__setattr__(self, "dates", _read_frame_dates(np.asarray(index), "index"))
        # A forecaster keeps the series that it was fitted to: nobody may change it.
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    def head(self, length: int) -> "Series":
        """Returns the first ``length`` points."""
        check_count("length", length, minimum=1, maximum=len(self))
        dates = self.dates
        if dates is not None:
            dates = replace(dates, labels=dates.labels[:length], times=dates.times[:length])
        return Series(self.values[:length], self.name, dates)

    def label(self, place: int) -> str:
        """Returns the label of a point, also after the end: its date, or its number from 1."""
        check_count("place", place)
        return str(place + 1) if self.dates is None else self.dates.label(place)


class SeriesOrFrame(Protocol):
    """Series or frame of pandas or polars."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of rows and, for a frame, of columns."""


SeriesLike: TypeAlias = Series | Sequence[float] | NDArray[np.floating] | SeriesOrFrame


def as_series(series: SeriesLike) -> Series:
    """Converts a sequence of numbers to a series. Raises SeriesError if it cannot be forecast."""
    # The constructor validates; Series declares its argument as an array.
    return series if isinstance(series, Series) else Series(series)  # type: ignore[arg-type]


def as_array(numbers: object) -> NDArray[np.generic] | None:
    """Converts to an array, masked if ``numbers`` is masked. Returns None if that is impossible."""
    try:
        return np.asanyarray(numbers)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # NumPy's and PyTorch's
        return None


def _convert_to_floats(array: NDArray[np.generic]) -> Values:
    """Returns the numbers as floats, NaN if they are masked."""
    with np.errstate(over="ignore"):  # longer floats overflow, and are then refused as infinite
        return np.ma.filled(array.astype(np.float64), np.nan)


def _read_objects(array: NDArray[np.generic]) -> Values:
    """Returns the numbers of an array of objects, NaN if missing. Raises SeriesError for the first other object."""
    values = np.full(len(array), np.nan)
    for index, one in enumerate(np.ma.filled(array, np.nan)):
        # The missing value of pandas is an object of a class of its own.
        if one is None or str(one) in _MISSING:
            continue
        if not isinstance(one, Real | Decimal | np.bool_):
            raise SeriesError(
                f"value {index + 1} of {len(array)} is of type {type(one).__name__}, not a number",
                hint="convert the values to floats",
            )
        try:
            values[index] = float(one)
        except OverflowError:
            values[index] = np.inf
    return values


def _check_values(array: NDArray[np.generic], values: Values) -> None:
    """Raises SeriesError for the first value that is not finite, too large, or not exact as a float."""
    if not len(values):
        raise SeriesError("the series is empty; there is nothing to forecast")
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        problem = "missing (not a number)" if np.isnan(values[bad[0]]) else "infinite"
        raise SeriesError(f"value {bad[0] + 1} of {len(values)} is {problem}; replace or remove such values")
    if len(large := np.flatnonzero(np.abs(values) > _MAX_VALUE)):
        raise SeriesError(
            f"the magnitude of value {large[0] + 1} ({values[large[0]]:g}) exceeds {_MAX_VALUE:g}; use a larger unit"
        )
    # Each digit of an int counts, as in an identifier; floats are rounded anyway.
    for index in np.flatnonzero(np.abs(values) >= _MAX_EXACT):
        if isinstance(number := array[index], Integral) and int(values[index]) != int(number):
            raise SeriesError(
                f"value {index + 1} is {array[index]}: it has more digits than a float can represent",
                hint="subtract a constant from the series, or round it",
            )


def _read_frame_dates(index: NDArray[np.generic], name: str) -> Dates | None:
    """Reads the dates of an index or a column; None for numbers. Raises SeriesError if they are not evenly spaced.

    ``name``: The index or column, as messages name it.
    """
    otherwise = "or pass its values alone if they are evenly spaced"
    labels = [str(label) for label in index]
    for place, label in enumerate(labels):
        if label in _MISSING:
            raise SeriesError(
                f"label {place + 1} of {len(labels)} of the {name} is missing", hint=f"fill such labels, {otherwise}"
            )
    in_order = f"sort the series by its {name} and fill its gaps, {otherwise} (for example, working days)"
    if index.dtype.kind in "iufm":
        # Numbers carry no calendar: only even spacing matters.
        steps = np.diff(index).astype(np.float64)
        if len(steps) and not (index[0] < index[1] and np.allclose(steps, steps[0], rtol=1e-9, atol=0)):
            raise SeriesError(f"the numbers of the {name} do not increase in equal steps", hint=in_order)
        return None
    if index.dtype.kind == "M":
        times = index.astype(np.datetime64)
        # Midnights are formatted as days, so that the dates are read as days and not as times.
        labels = np.datetime_as_string(times, "D" if np.all(times == times.astype("M8[D]")) else None).tolist()
    try:
        return read_dates(labels, range(1, len(labels) + 1), TIME)
    except SeriesError as error:
        notation = find_notation(labels[0]) or ""
        for place, label in enumerate(labels):
            if problem := describe_nanoseconds(label):
                raise SeriesError(
                    f"label {place + 1} of the {name}, {quote_cell(label)}, {problem}",
                    hint=f"round the labels, {otherwise}",
                ) from None
            if parse_date(label, notation) is None:
                like = "an ISO date such as 2001-12-31" if place == 0 else f"a date like {quote_cell(labels[0])}"
                raise SeriesError(
                    f"label {place + 1} of the {name}, {quote_cell(label)}, is not {like}",
                    hint=f"convert the labels to time stamps (to_datetime in pandas and polars), {otherwise}",
                ) from None
        raise SeriesError(f"the {name} (line 1 is its first label): ", *error.message, hint=in_order) from None


def is_constant(values: Values) -> bool:
    """Returns True if all values are the same."""
    return bool(np.all(values == values[0]))
