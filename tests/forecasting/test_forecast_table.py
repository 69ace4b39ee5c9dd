"""Tables of forecasts in Nixtla's columns: their library, their names, the dates after the end."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from charloom.errors import InputError, SeriesError, SettingsError
from charloom.forecasting import ForecastSettings, Series, fit, tabulate_forecast
from charloom.forecasting.dates import read_dates
from charloom.forecasting.forecast_table import name_intervals

_VALUES = np.sin(np.arange(40.0)) + np.arange(40)
_QUICK = ForecastSettings(horizon=3, method="drift")
_FORECAST = fit(_VALUES, _QUICK).forecast()
_COLUMNS = ["ds", "charloom", "charloom-lo-80", "charloom-hi-80", "charloom-lo-95", "charloom-hi-95"]


def _continue(source: Any) -> list[Any]:
    """Returns the dates of a table of ``source``, whose library and columns are tested."""
    table = tabulate_forecast(source, _FORECAST)
    assert [*table] == _COLUMNS if isinstance(table, dict) else [*table.columns] == _COLUMNS
    low, high = _FORECAST.interval(0.8)
    for name, expected in (("charloom", _FORECAST.mean), ("charloom-lo-80", low), ("charloom-hi-80", high)):
        assert (np.asarray(table[name]) == expected).all()
    return list(table["ds"])


def test_arrays_give_a_dictionary() -> None:
    assert _continue(_VALUES) == _continue(_VALUES.tolist()) == _continue(Series(_VALUES)) == [41, 42, 43]
    labels = [f"{2000 + n // 12}-{n % 12 + 1:02}" for n in range(40)]
    series = Series(_VALUES, dates=read_dates(labels, range(40), "time"))
    assert _continue(series) == [np.datetime64(f"2003-{month:02}-01T00:00:00.000000") for month in (5, 6, 7)]
    in_zone = [f"2000-01-{n + 1:02}T00:00+02:00" for n in range(31)]
    zoned = Series(_VALUES[:31], dates=read_dates(in_zone, range(31), "time"))
    assert _continue(zoned)[0] == np.datetime64("2000-01-31T22:00:00.000000"), "NumPy has no time zones"


def test_levels() -> None:
    """They are sorted, and written without rounding errors."""
    table = tabulate_forecast(_VALUES, _FORECAST, [0.975, 0.57, 0.5])
    assert [*table][2:] == [f"charloom-{side}-{level}" for level in ("50", "57", "97.5") for side in ("lo", "hi")]
    assert [*tabulate_forecast(_VALUES, _FORECAST, [])] == ["ds", "charloom"]
    assert [*name_intervals(_FORECAST, [99.99])] == ["lo-99.99", "hi-99.99"]
    with pytest.raises(SettingsError, match="level is 80"):
        tabulate_forecast(_VALUES, _FORECAST, [80])


_FREQUENCIES = {
    "ME": ("2003-05-31", "2003-06-30"),
    "MS": ("2003-06-01", "2003-07-01"),
    "QS": ("2010-04-01", "2010-07-01"),
    "YE": ("2040-12-31", "2041-12-31"),
    "W": ("2000-11-05", "2000-11-12"),
    "D": ("2000-03-11", "2000-03-12"),
    "h": ("2000-02-01T16:00", "2000-02-01T17:00"),
    "90s": ("2000-01-31T01:00", "2000-01-31T01:01:30"),
}


@pytest.mark.parametrize("frequency", _FREQUENCIES)
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_dates_of_pandas(frequency: str, unit: str) -> None:
    """They continue the spacing of the series, in its unit; the column of the identifier is repeated."""
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2000-01-31", periods=40, freq=frequency).as_unit(unit)
    if frequency == "W":
        index = index[0] + pandas.to_timedelta(7 * np.arange(40), unit="D")
    expected = list(index[-1] + (index[-1] - index[-2]) * np.arange(1, 4))
    if frequency in ("ME", "MS", "QS", "YE"):
        expected = list(pandas.date_range(index[-1], periods=4, freq=frequency)[1:])
    assert _continue(pandas.Series(_VALUES, index)) == expected
    frame = pandas.DataFrame({"unique_id": "a", "ds": index, "y": _VALUES})
    table = tabulate_forecast(frame, fit(frame, _QUICK).forecast())
    assert [*table.columns] == ["unique_id", *_COLUMNS]
    assert table["ds"].dtype == frame["ds"].dtype
    assert table["unique_id"].tolist() == ["a"] * 3
    assert table.index.tolist() == [0, 1, 2]


def test_times_with_a_zone() -> None:
    """Days keep their clock time when daylight saving time starts (31 March 2024); hours have one length."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    zone = "Europe/Berlin"
    for start, step in (("2024-02-20", "D"), ("2024-03-29T08", "h"), ("2020-12-01", "MS")):
        times = pandas.date_range(start, periods=43, freq=step, tz=zone)
        assert _continue(pandas.Series(_VALUES, times[:40])) == list(times[40:])
        clock = polars.Series(times.tz_convert("UTC").tz_localize(None).to_numpy())
        known = clock.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        frame = polars.DataFrame({"ds": known[:40], "y": _VALUES})
        assert _continue(frame) == known[40:].to_list()
        assert tabulate_forecast(frame, _FORECAST)["ds"].dtype == known.dtype
    fixed = pandas.date_range("2024-02-20", periods=43, tz=timezone(timedelta(hours=5)))
    assert _continue(pandas.Series(_VALUES, fixed[:40])) == list(fixed[40:])
    # 31 March 2024, 02:30 does not exist in Berlin, and 27 October, 02:30 exists twice.
    skipped = pandas.date_range("2024-02-20 02:30", periods=40, tz=zone)
    assert _continue(pandas.Series(_VALUES, skipped))[0] == pandas.Timestamp("2024-03-31 03:00", tz=zone)
    repeated = pandas.date_range("2024-09-17 02:30", periods=40, tz=zone)
    assert str(_continue(pandas.Series(_VALUES, repeated))[0]) == "2024-10-27 02:30:00+02:00"


def test_dates_of_polars() -> None:
    polars = pytest.importorskip("polars")
    months = [date(2000 + n // 12, n % 12 + 1, 1) for n in range(43)]
    for dtype in (polars.Date, polars.Datetime("ms"), polars.Datetime("ns")):
        known = polars.Series(months).cast(dtype)
        frame = polars.DataFrame({"unique_id": ["a"] * 40, "ds": known[:40], "y": _VALUES})
        table = tabulate_forecast(frame, _FORECAST)
        assert table.columns == ["unique_id", *_COLUMNS]
        assert table["ds"].to_list() == known[40:].to_list()
        assert table["ds"].dtype == dtype
        assert table["unique_id"].to_list() == ["a"] * 3
    assert _continue(polars.Series(_VALUES)) == [41, 42, 43]


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("dates", "later"),
    [
        (range(5, 45), [45, 46, 47]),
        (np.arange(40) * 0.5, [20.0, 20.5, 21.0]),
        ([f"{2000 + n}-Q1" for n in range(40)], ["2040-Q1", "2041-Q1", "2042-Q1"]),
    ],
)
def test_numbers_and_strings(library: str, dates: Any, later: list[Any]) -> None:
    frame = pytest.importorskip(library).DataFrame({"ds": dates, "y": _VALUES})
    assert _continue(frame) == later


def test_other_dates_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    for frequency in ("M", "W-SUN", "Q-NOV", "2W-SUN", "15min"):
        periods = pandas.period_range("2000-01-03", periods=43, freq=frequency)
        assert _continue(pandas.Series(_VALUES, periods[:40])) == list(periods[40:])
        frame = pandas.DataFrame({"ds": periods[:40], "y": _VALUES})
        assert _continue(frame) == list(periods[40:])
        assert tabulate_forecast(frame, _FORECAST)["ds"].dtype == frame["ds"].dtype
    years = pandas.period_range("1990", periods=43, freq="Y-JUN")  # the years start in July
    assert _continue(pandas.DataFrame({"ds": years[:40].astype(object), "y": _VALUES})) == list(years[40:])
    for spacing in ("MS", "ME", "YS", "QS"):
        days = pandas.date_range("1990-01-01", periods=43, freq=spacing).to_period("D")
        assert _continue(pandas.Series(_VALUES, days[:40])) == list(days[40:])
    days = [date(2000, 1, 1) + timedelta(days=n) for n in range(43)]
    assert _continue(pandas.DataFrame({"ds": days[:40], "y": _VALUES})) == days[40:]
    times = [datetime(2000, 1, 1) + timedelta(days=n) for n in range(43)]
    index = pandas.Index(times[:40], dtype=object)
    assert _continue(pandas.Series(_VALUES, index)) == [pandas.Timestamp(time) for time in times[40:]]
    assert _continue(pandas.Series(_VALUES)) == [40, 41, 42]


def test_what_cannot_be_tabulated() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputError, match="several origins"):
        tabulate_forecast(_VALUES, fit(_VALUES, _QUICK).forecast_from(_VALUES, [30, 35]))
    with pytest.raises(SeriesError, match="contains one date"):
        tabulate_forecast(pandas.Series([1.0], pandas.DatetimeIndex(["2001-01-01"])), _FORECAST)
    late = pandas.Series(_VALUES, [f"{9960 + n}-01-01" for n in range(40)])
    with pytest.raises(SeriesError, match="beyond the year 9999; pass the values alone, without dates"):
        tabulate_forecast(late, _FORECAST)


_LAST_DAYS = np.arange("2262-03-03", "2262-04-12", dtype="datetime64[D]")
"""The last days that fit into nanoseconds since 1970."""


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_after_the_range_of_nanoseconds(zone: str | None) -> None:
    """They are refused if the series has dates in nanoseconds, and written if its unit has a larger range."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for unit in ("ns", "us"):
        index = pandas.DatetimeIndex((_LAST_DAYS - 1).astype(f"M8[{unit}]")).tz_localize(zone)
        column = polars.Series((_LAST_DAYS - 1).astype(f"M8[{unit}]")).dt.replace_time_zone(zone)
        for series in (pandas.Series(_VALUES, index), polars.DataFrame({"ds": column, "y": _VALUES})):
            if unit == "ns":
                with pytest.raises(SeriesError, match=r"beyond the last time of the type .*ns.*; convert the dates to"):
                    tabulate_forecast(series, _FORECAST)
            else:
                days = [str(time)[:10] for time in _continue(series)]
                assert days == ["2262-04-11", "2262-04-12", "2262-04-13"]


def test_durations() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    steps = [timedelta(hours=6) * n for n in range(43)]
    for library in (pandas, polars):
        assert _continue(library.DataFrame({"ds": steps[:40], "y": _VALUES})) == steps[40:]
