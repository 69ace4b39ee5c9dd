"""Series and frames of pandas and polars: their numbers and dates, read without a dependency on either library.

``series`` validates the numbers and reads the dates; ``forecast_table`` makes a frame of a forecast.
"""

import importlib
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom.errors import SeriesError, pluralize

Library: TypeAlias = Literal["pandas", "polars"]

ID, TIME, TARGET = "unique_id", "ds", "y"
"""Names of the columns of a frame in long format, which Nixtla's libraries use."""
_LONG_FORMAT = f"pass a frame with the columns {TIME} and {TARGET}, or a single column as a series"
_MAX_NAMES = 5
"""Maximum number of columns that a message names."""


class FrameColumns(NamedTuple):
    """Contents of a series or a frame.

    Attributes:
        origin: Library of the object.
        values: Numbers, NaN if missing: (points,).
        name: Name of the numbers; None if they have none.
        times: Column or index of the dates, as an object of the library; None for a series of polars, which has none.
        times_name: The dates, as messages name them.
        ids: Column of the identifier, as an object of the library; None if there is none.
    """

    origin: Library
    values: NDArray[np.generic]
    name: str | None
    times: Any
    times_name: str
    ids: Any


def load_library(library: Library) -> Any:
    """Returns the library's module, which has been imported already if one of its objects exists."""
    return importlib.import_module(library)


def read_frame(source: Any) -> FrameColumns | None:
    """Reads a series, or a frame in long format, of pandas or polars. Returns None for any other object.

    Raises:
        SeriesError: A frame has no column ds or y, further columns, or several series.
    """
    found = _find_class(source)
    if found is None:
        return None
    library, kind = found
    if kind == "LazyFrame":
        raise SeriesError("the frame is a LazyFrame, which holds no values yet", hint="call its method collect")
    if kind == "Series":
        name = source.name if isinstance(source.name, str) and source.name else None
        times = read_times(library, source.index) if library == "pandas" else None
        return FrameColumns(library, _read_values(library, source), name, times, "index", None)
    names = [str(name) for name in source.columns]
    _check_names(names)
    ids = source[ID] if ID in names else None
    num_ids = 1 if ids is None else ids.nunique(dropna=False) if library == "pandas" else ids.n_unique()
    if num_ids > 1:
        raise SeriesError(
            f"column {ID!r} contains {num_ids} different values, one for each series",
            hint="keep the rows of one series, or pass AutoCharloom to StatsForecast, which forecasts each of them",
        )
    values = _read_values(library, source[TARGET])
    # A column of objects may contain numbers, which ``series`` reads one by one.
    if values.dtype.kind not in "biufO":
        raise SeriesError(
            f"column {TARGET!r} contains no numbers, but values of type {source[TARGET].dtype}",
            hint="convert the column to floats",
        )
    return FrameColumns(library, values, TARGET, read_times(library, source[TIME]), f"column {TIME!r}", ids)


def read_times(library: Library, times: Any) -> Any:
    """Returns the dates of pandas as an index of time stamps or periods, if they are such; all others as they are."""
    if library == "polars":
        return times
    pandas = load_library(library)
    # Time stamps of Arrow, and columns and indices of NumPy's, have different methods; a DatetimeIndex has one set.
    if getattr(times.dtype, "kind", "") == "M":
        return pandas.DatetimeIndex(times)
    # As text, a period of a year would be the first of January, also if the year starts in July.
    if pandas.api.types.infer_dtype(times, skipna=False) == "period" and not isinstance(times, pandas.PeriodIndex):
        return pandas.PeriodIndex(times)
    return times


def write_labels(frame: FrameColumns) -> NDArray[np.generic]:
    """Returns the dates as time stamps of NumPy, as numbers, or as objects whose ``str`` is the date.

    Periods of pandas become the time stamps of their starts. Raises SeriesError for business days.
    """
    times = frame.times
    if frame.origin == "pandas" and isinstance(times.dtype, load_library("pandas").PeriodDtype):
        return _find_starts(times, frame.times_name)
    if frame.origin == "polars" and getattr(times.dtype, "time_zone", None):
        # NumPy has no time zones: it would return the times of UTC.
        fraction = "%.9f" if times.dtype.time_unit == "ns" and (times.dt.nanosecond() % 1000 != 0).any() else "%.6f"
        times = times.dt.to_string(f"%Y-%m-%d %H:%M:%S{fraction}%:z")
    elif frame.origin == "polars" and times.dtype in _wide_integers():
        times = times.cast(load_library("polars").Int64, strict=False)
    return np.asarray(times) if frame.origin == "pandas" else np.asarray(times.to_numpy())


def _find_starts(periods: Any, name: str) -> NDArray[np.datetime64]:
    """Returns the starts of periods of pandas. Raises SeriesError for business days, which skip weekends."""
    offsets, frequency = load_library("pandas").offsets, periods.dtype.freq
    # Not by to_timestamp, whose nanoseconds end in the year 2262. Both units are counted from 1970, as in NumPy.
    unit = "ns" if isinstance(frequency, offsets.Nano) else "us"
    starts = np.asarray(periods.array.asfreq(unit, how="start").astype(np.int64))
    numbers = np.asarray(periods.array.astype(np.int64))
    # Multiples of five business days are evenly spaced. Others would seem to have gaps.
    is_even, are_starts_even = (len(set(np.diff(one).tolist())) < 2 for one in (numbers, starts))
    if isinstance(frequency, offsets.BusinessDay) and is_even and not are_starts_even:
        raise SeriesError(
            f"the {name} contains periods of business days, whose starts are not evenly spaced because of the weekends",
            hint="pass its values alone to number the points instead",
        )
    return starts.astype(f"M8[{unit}]")


def _wide_integers() -> list[Any]:
    """Returns the types of integers of polars that NumPy does not have."""
    polars = load_library("polars")
    return [getattr(polars, name) for name in ("Int128", "UInt128") if hasattr(polars, name)]


def _find_class(source: object) -> tuple[Library, str] | None:
    """Returns the library and the name of the class of a series or a frame, also of a subclass."""
    for kind in type(source).__mro__:
        library = kind.__module__.partition(".")[0]
        if kind.__name__ in ("DataFrame", "Series", "LazyFrame"):
            if library == "pandas":
                return "pandas", kind.__name__
            if library == "polars":
                return "polars", kind.__name__
    return None


def _check_names(names: list[str]) -> None:
    """Raises SeriesError unless the columns are those of one series in long format."""
    shown = ", ".join(map(repr, names[:_MAX_NAMES])) + (", ..." if len(names) > _MAX_NAMES else "")
    for name in (TIME, TARGET):
        if name not in names:
            raise SeriesError(
                f"the frame has no column {name!r} (columns: {shown or 'none'})",
                hint=f"rename its columns, and {_LONG_FORMAT}",
            )
    if others := sorted({*names} - {ID, TIME, TARGET}):
        raise SeriesError(
            f"the frame has {pluralize(len(others), 'further column')} ({others[0]!r}): exogenous variables are not "
            "supported",
            hint=_LONG_FORMAT,
        )
    if len(names) > len({*names}):
        raise SeriesError(f"the frame has several columns of one name (columns: {shown})", hint=_LONG_FORMAT)


def _read_values(library: Library, column: Any) -> NDArray[np.generic]:
    """Returns the numbers of a column, NaN if missing; an array of objects if it contains none."""
    if library == "polars":
        # NumPy has neither decimals nor integers of 128 bits.
        if column.dtype.is_decimal() or column.dtype in _wide_integers():
            column = column.cast(float)
        return np.asarray(column.to_numpy())
    # Types of pandas and Arrow, such as Int64, have missing values that NumPy does not know.
    kind = getattr(column.dtype, "kind", "O")
    if kind not in "biuf" or isinstance(column.dtype, np.dtype):
        return np.asarray(column)
    if column.isna().any():
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    # Integers stay integers, so that digits beyond those of a float are noticed.
    return np.asarray(column.to_numpy(dtype={"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}[kind]))
