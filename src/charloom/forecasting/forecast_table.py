"""Table of a forecast in the columns of Nixtla's libraries, in the library of the series that was forecast.

``frames`` reads such objects; ``auto_model`` returns the same intervals by name, as the models of StatsForecast do.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from charloom.errors import InputError, SeriesError
from charloom.forecasting.dates import Dates
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.frames import ID, TIME, FrameColumns, load_library, read_frame, write_labels
from charloom.forecasting.intervals import sort_levels
from charloom.forecasting.series import Series, SeriesLike, Values, as_series
from charloom.settings.forecasting import DEFAULT_LEVELS
from charloom_codec.arguments import check_type

ALIAS = "charloom"
"""Column of the forecast."""
_PERCENT_DIGITS = 10
"""Digits of a percentage that are not rounding errors: 100 * 0.57 is 56.99999999999999."""


def tabulate_forecast(series: SeriesLike, forecast: Forecast, levels: Sequence[float] = DEFAULT_LEVELS) -> Any:
    """Makes a table of a forecast and its prediction intervals, in the columns of Nixtla's libraries.

    The columns are ``unique_id``, if the series is a frame that contains it; ``ds``, the dates after the end of the
    series, or numbers if it has none; ``charloom``, the forecast; and the bounds of the intervals ``charloom-lo-80``,
    ``charloom-hi-80``, ``charloom-lo-95``, ``charloom-hi-95``.

    Args:
        series: Series that was forecast, as it was passed to ``fit``.
        forecast: Forecast from one origin, the end of the series.
        levels: Levels of the prediction intervals.

    Returns:
        A DataFrame of pandas or polars if the series is an object of either; if not, a dictionary of NumPy arrays.

    Raises:
        InputError: The forecast is from several origins.
        SeriesError: The series is invalid, or its dates would extend beyond the year 9999.
    """
    # The dates of an invalid series cannot be continued.
    known = as_series(series)
    check_type(Forecast, forecast=forecast)
    if forecast.mean.ndim != 1:
        raise InputError("has several origins; pass a result of Forecaster.forecast", setting="forecast")
    levels = sort_levels(levels)
    frame = read_frame(series)
    columns: dict[str, Any] = {TIME: _continue_times(known, frame, len(forecast.mean))}
    columns |= {ALIAS: forecast.mean} | name_intervals(forecast, [100 * level for level in levels], f"{ALIAS}-")
    if frame is None:
        return columns
    if frame.ids is not None:
        columns = {ID: _repeat_id(frame, len(forecast.mean))} | columns
    return load_library(frame.origin).DataFrame(columns)


def name_intervals(forecast: Forecast, percentages: Sequence[float], prefix: str = "") -> dict[str, Values]:
    """Returns the bounds of the intervals: ``lo-80`` and ``hi-80`` for 80, each after the prefix.

    Raises SettingsError for a percentage that is not above 0 and at most 99.99.
    """
    bounds: dict[str, Values] = {}
    for percentage in percentages:
        rounded = round(float(percentage), _PERCENT_DIGITS)
        low, high = forecast.interval(rounded / 100)
        written = int(rounded) if rounded.is_integer() else rounded
        bounds |= {f"{prefix}lo-{written}": low, f"{prefix}hi-{written}": high}
    return bounds


def _continue_times(series: Series, frame: FrameColumns | None, horizon: int) -> Any:
    """Returns the dates or numbers after the end of a series, as an object that the table of its library accepts."""
    places = range(len(series), len(series) + horizon)
    times = None if frame is None else frame.times
    if times is None:
        if series.dates is None:
            return np.array(places) + 1  # points are counted from 1, as labels are
        return np.array(_find_utc_times(series.dates, places, None), "datetime64[us]")
    assert frame is not None
    if (numbers := write_labels(frame)).dtype.kind in "iufm":
        return _continue_numbers(numbers, horizon)
    if series.dates is None:
        raise SeriesError(f"the {frame.times_name} of the series contains one date, which cannot be continued")
    try:
        series.dates.time(places[-1])
    except SeriesError as error:
        raise SeriesError(*error.message, hint="pass the values alone, without dates") from None
    if frame.origin == "polars":
        return _continue_polars(series.dates, times, places)
    return _continue_pandas(series.dates, times, places)


def _continue_numbers(numbers: NDArray[Any], horizon: int) -> NDArray[Any]:
    """Returns the numbers after evenly spaced ones."""
    step = numbers[-1] - numbers[-2] if len(numbers) > 1 else 1
    continued: NDArray[Any] = numbers[-1] + step * np.arange(1, horizon + 1)
    return continued


def _find_utc_times(dates: Dates, places: range, zone: ZoneInfo | None) -> list[datetime]:
    """Returns the times of points without their time zone: those of UTC if they have one.

    ``zone``: Zone on whose clock dates a day or more apart are evenly spaced; None if all have one distance from UTC.
    """
    times = [dates.time(place) for place in places]
    if zone is not None and _keeps_clock(dates):
        times = [time.replace(tzinfo=zone) for time in times]
    return [time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None) for time in times]


def _keeps_clock(dates: Dates) -> bool:
    """Returns True if daylight saving time does not change the clock time of the dates."""
    return bool(dates.months) or dates.step >= timedelta(days=1)


def _continue_pandas(dates: Dates, times: Any, places: range) -> Any:
    """Returns the dates after a column or an index of pandas, which are of its type."""
    pandas = load_library("pandas")
    dtype = times.dtype
    if isinstance(dtype, pandas.PeriodDtype):
        # From the dates, not from the last two periods: days that are a month apart have no constant distance.
        return pandas.PeriodIndex(_make_index([dates.time(place) for place in places]), dtype=dtype)
    if dtype.kind == "M":
        zone = getattr(dtype, "tz", None)
        if zone is None or not _keeps_clock(dates):
            found = _make_index(_find_utc_times(dates, places, None))
            found = found if zone is None else found.tz_localize(UTC).tz_convert(zone)
        else:
            clock = _make_index([dates.time(place).replace(tzinfo=None) for place in places])
            # The first of two equal clock times; an hour later if the clock skips the time.
            is_summer = np.ones(len(clock), dtype=bool)
            found = clock.tz_localize(zone, ambiguous=is_summer, nonexistent="shift_forward")
        try:
            return found.astype(dtype)
        except pandas.errors.OutOfBoundsDatetime:
            raise _make_range_error(dtype) from None
    return _continue_objects(dates, np.asarray(times)[-1], places)


def _make_index(times: list[datetime]) -> Any:
    """Returns the times as an index of pandas."""
    # Times of Python would be converted to nanoseconds, which end in the year 2262.
    return load_library("pandas").DatetimeIndex(np.array(times, "datetime64[us]"))


def _make_range_error(dtype: object) -> SeriesError:
    return SeriesError(
        f"the forecast extends beyond the last time of the type {dtype}",
        hint="convert the dates to a unit with a larger range, such as microseconds, or pass the values alone",
    )


def _continue_polars(dates: Dates, times: Any, places: range) -> Any:
    """Returns the dates after a column of polars, which are of its type."""
    polars = load_library("polars")
    if not times.dtype.is_temporal():
        return _continue_objects(dates, times[-1], places)
    name = getattr(times.dtype, "time_zone", None)
    found = polars.Series(_find_utc_times(dates, places, ZoneInfo(name) if name else None))
    if name:
        found = found.dt.replace_time_zone("UTC").dt.convert_time_zone(name)
    # Unlike a strict cast, which fails with an error of polars, this one returns nulls for times out of range.
    continued = found.cast(times.dtype, strict=False)
    if continued.null_count():
        raise _make_range_error(times.dtype)
    return continued


def _continue_objects(dates: Dates, last: object, places: range) -> list[Any]:
    """Returns strings in the notation of the last one, or dates or times of Python."""
    if isinstance(last, str):
        return [dates.label(place) for place in places]
    times = [dates.time(place) for place in places]
    return [time.date() for time in times] if isinstance(last, date) and not isinstance(last, datetime) else times


def _repeat_id(frame: FrameColumns, number: int) -> Any:
    """Returns a column with the identifier of the series in each row."""
    if frame.origin == "polars":
        return frame.ids.head(1).gather([0] * number)
    return frame.ids.iloc[[0] * number].reset_index(drop=True)
