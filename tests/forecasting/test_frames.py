"""Series and frames of pandas and polars as input of the forecasting functions."""

import importlib.util
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from charloom.errors import SeriesError
from charloom.forecasting import ForecastSettings, Series, backtest, find_season, fit
from charloom.forecasting.frames import read_frame, write_labels
from charloom.forecasting.series import as_series

_VALUES = np.tile([1.5, 4.0, 2.0, 8.0], 12) + np.random.default_rng(0).normal(0, 0.1, 48)
_DAYS = np.datetime64("2001-01-01") + np.arange(48)
_QUICK = ForecastSettings(horizon=3, method="seasonal-naive")


def _make_frame(library: str, columns: dict[str, Any]) -> Any:
    return pytest.importorskip(library).DataFrame(columns)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_in_long_format(library: str) -> None:
    """Every function reads its numbers and dates; the column of the identifier is optional."""
    frame = _make_frame(library, {"ds": _DAYS, "y": _VALUES})
    for one in (frame, _make_frame(library, {"y": _VALUES, "unique_id": ["a"] * 48, "ds": _DAYS})):
        series = as_series(one)
        assert (series.values == _VALUES).all()
        assert series.name == "y"
        assert series.label(48) == "2001-02-18"
    assert find_season(frame) == find_season(_VALUES) == 4
    expected = fit(_VALUES, _QUICK)
    forecaster = fit(frame, _QUICK)
    assert (forecaster.forecast().mean == expected.forecast().mean).all()
    assert (forecaster.forecast(history=frame).mean == expected.forecast().mean).all()
    assert backtest(frame, _QUICK).num_fitted == backtest(_VALUES, _QUICK).num_fitted


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_series(library: str) -> None:
    series = as_series(pytest.importorskip(library).Series(_VALUES))
    assert (series.values == _VALUES).all()
    assert series.name == "value"
    assert series.dates is None
    named = pytest.importorskip(library).Series(_VALUES).rename("load")
    assert as_series(named).name == "load"
    assert Series(named, name="power").name == "power"


def test_a_series_of_pandas_keeps_the_dates_of_its_index() -> None:
    pandas = pytest.importorskip("pandas")
    for index, later in (
        (pandas.date_range("2001-01-31", periods=48, freq="ME"), "2005-01-31"),
        (pandas.date_range("2001-01-01", periods=48, tz="Europe/Paris"), "2001-02-18 00:00:00+01:00"),
        (pandas.RangeIndex(48), "49"),
    ):
        assert as_series(pandas.Series(_VALUES, index)).label(48) == later


@pytest.mark.parametrize("frequency", ["W-SUN", "2W-WED", "M", "2M", "Q", "Q-NOV", "Y-JUN", "D", "h", "15min"])
def test_periods_of_pandas_are_the_times_of_their_starts(frequency: str) -> None:
    pandas = pytest.importorskip("pandas")
    periods = pandas.period_range("2001-01-03", periods=49, freq=frequency)
    starts = periods.to_timestamp()
    expected = Series(pandas.Series(_VALUES, starts[:48].as_unit("us")))
    for one in (pandas.Series(_VALUES, periods[:48]), pandas.DataFrame({"ds": periods[:48], "y": _VALUES})):
        dates = as_series(one).dates
        assert dates is not None
        assert dates == expected.dates
        assert dates.time(48) == starts[48]


def test_wrong_periods() -> None:
    pandas = pytest.importorskip("pandas")
    early = pandas.period_range("1500", periods=48, freq="Y")  # time stamps in nanoseconds start in 1677
    assert as_series(pandas.Series(_VALUES, early)).label(48) == "1548-01-01"
    for periods, message in (
        (early[:-1].append(pandas.PeriodIndex([None], freq="Y")), "label 48 of 48 of the index is missing"),
        (early[1:].insert(0, early[0] - 1), "line 2: 1501-01-01 is 24 months after 1499-01-01"),
        (early[::-1], "line 2: 1546-01-01 is earlier than 1547-01-01 in line 1; sort the series by its index"),
    ):
        with pytest.raises(SeriesError, match=message):
            as_series(pandas.Series(_VALUES, periods))


@pytest.mark.filterwarnings("ignore:.*(BDay|\\[B\\]):FutureWarning")
def test_periods_of_business_days() -> None:
    """They are refused for what they are; five of them are a week."""
    pandas = pytest.importorskip("pandas")
    for frequency in ("B", "2B"):
        days = pandas.period_range("2001-01-03", periods=48, freq=frequency)
        for one, name in (
            (pandas.Series(_VALUES, days), "index"),
            (pandas.DataFrame({"ds": days, "y": _VALUES}), "column 'ds'"),
        ):
            with pytest.raises(SeriesError) as caught:
                as_series(one)
            assert str(caught.value) == (
                f"the {name} contains periods of business days, whose starts are not evenly spaced because of the "
                "weekends; pass its values alone to number the points instead"
            )
    weeks = pandas.period_range("2001-01-03", periods=48, freq="5B")
    assert as_series(pandas.Series(_VALUES, weeks)).label(48) == "2001-12-05"
    with pytest.raises(SeriesError, match="fill its gaps"):
        as_series(pandas.Series(_VALUES[:-1], days.delete(5)))


def test_nanoseconds() -> None:
    """They are refused for what they are, and not rounded; whole microseconds are read."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for step in ("1ns", "1500ns"):
        stamps = pandas.date_range("2001-01-01", periods=48, freq=step)
        zoned = stamps.tz_localize("Europe/Paris")
        periods = pandas.period_range("2001-01-01", periods=48, freq=step)
        of_polars = polars.Series(stamps.to_numpy())
        for times in (stamps, zoned, periods, of_polars, of_polars.dt.replace_time_zone("Europe/Paris")):
            library = polars if isinstance(times, polars.Series) else pandas
            with pytest.raises(SeriesError, match=r"^label 2 of the column 'ds', .*, has nanoseconds, but") as caught:
                as_series(library.DataFrame({"ds": times, "y": _VALUES}))
            assert str(caught.value).endswith("; round the labels, or pass its values alone if they are evenly spaced")
    whole = pandas.period_range("2001-01-01", periods=49, freq="2000ns")
    dates = as_series(pandas.Series(_VALUES, whole[:48])).dates
    assert dates is not None
    assert dates.time(48) == whole[48].to_timestamp()
    off = pandas.PeriodIndex(whole.to_timestamp() + pandas.Timedelta(1, "ns"), freq="2000ns")  # not rounded, either
    with pytest.raises(SeriesError, match=r"^label 1 of the index, .*, has nanoseconds"):
        as_series(pandas.Series(_VALUES, off[:48]))


def test_numbers_of_all_types() -> None:
    """Also those of pandas and Arrow that have a missing value of their own, and decimal numbers of polars."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    numbers = [1, 2, 3, 5]
    columns = [pandas.Series(numbers, dtype=kind) for kind in ("int8", "Int64", "UInt8", "Float32", "float32")]
    columns += [polars.Series(numbers, dtype=kind) for kind in (polars.UInt8, polars.Float32, polars.Decimal(10, 2))]
    if importlib.util.find_spec("pyarrow"):
        columns.append(pandas.Series(numbers, dtype="int64[pyarrow]"))
    for column in columns:
        assert as_series(column).values.tolist() == numbers, column.dtype
    assert as_series(polars.Series([True, False])).values.tolist() == [1, 0]
    if hasattr(polars, "Int128"):
        assert as_series(polars.Series(numbers, dtype=polars.Int128)).values.tolist() == numbers
    for one in (pandas.Series([1, None, 3, 4], dtype="Int64"), polars.Series([1, None, 3, 4])):
        with pytest.raises(SeriesError, match="value 2 of 4 is missing"):
            as_series(one)
    for one in (pandas.Series([2**60 + 1], dtype="Int64"), polars.Series([2**60 + 1])):
        with pytest.raises(SeriesError, match="more digits than a float can represent"):
            as_series(one)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([1, 2.5, np.float32(3), Decimal(4), Fraction(5, 2), True, np.bool_(False)], None),
        ([1.0, None, 2.0], "value 2 of 3 is missing"),
        ([1.0, float("nan"), 2.0], "value 2 of 3 is missing"),
        ([1.0, 2.0, "3"], "value 3 of 3 is of type str, not a number; convert the values to floats"),
        ([1.0, 2j], "value 2 of 2 is of type complex, not a number"),
        ([1.0, [2.0], 3.0], "value 2 of 3 is of type list, not a number"),
        ([1, 2**60 + 1], "value 2 is 1152921504606846977: it has more digits than a float can represent"),
        ([1, 10**400], "value 2 of 2 is infinite"),
    ],
)
def test_a_column_of_objects(objects: list[Any], message: str | None) -> None:
    """Columns of pandas that are of the type object are read if each object is a number."""
    pandas = pytest.importorskip("pandas")
    column = pandas.Series(objects, dtype=object)
    frame = pandas.DataFrame({"ds": range(len(objects)), "y": column})
    for one in (column, frame, column.to_numpy()):
        if message is None:
            assert as_series(one).values.tolist() == [float(number) for number in objects]
        else:
            with pytest.raises(SeriesError, match=message):
                as_series(one)


def test_the_missing_value_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    for missing in (pandas.NA, pandas.NaT):
        with pytest.raises(SeriesError, match="value 2 of 2 is missing"):
            as_series(pandas.Series([1.0, missing], dtype=object))


_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({"ds": _DAYS}, "no column 'y' .columns: 'ds'.; rename its columns, and pass a frame with"),
    "no dates": ({"y": _VALUES}, "no column 'ds' .columns: 'y'."),
    "many others": ({f"c{n}": _VALUES for n in range(9)}, "columns: 'c0', 'c1', 'c2', 'c3', 'c4', ..."),
    "exogenous": ({"ds": _DAYS, "y": _VALUES, "price": _VALUES}, "1 further column .'price'.: exogenous variables are"),
    "several series": (
        {"ds": _DAYS, "y": _VALUES, "unique_id": ["a", "b"] * 24},
        "'unique_id' contains 2 different values, one for each series; keep the rows of one",
    ),
    "words": ({"ds": _DAYS, "y": ["a"] * 48}, "value 1 of 48 is of type str, not a number; convert"),
    "time stamps": ({"ds": _DAYS, "y": _DAYS}, "column 'y' contains no numbers, but values of type .*; convert"),
    "newest first": (
        {"ds": _DAYS[::-1], "y": _VALUES},
        "the column 'ds' .line 1 is its first label.: line 2: 2001-02-16 is earlier than 2001-02-17 in line 1; sort",
    ),
    "twice": ({"ds": np.append(_DAYS[:-1], _DAYS[-2]), "y": _VALUES}, "line 48: 2001-02-16 is the same date as"),
    "gap": (
        {"ds": np.append(_DAYS[:-1], _DAYS[-1] + 1), "y": _VALUES},
        "line 48: 2001-02-18 is 2 days after 2001-02-16, but the other dates are 1 day apart; sort the series by its",
    ),
    "numbers with a gap": ({"ds": [*range(47), 50], "y": _VALUES}, "the numbers of the column 'ds' do not increase in"),
    "no date": (
        {"ds": np.append(_DAYS[:-1], np.datetime64("NaT")), "y": _VALUES},
        "label 48 of 48 of the column 'ds' is missing",
    ),
    "no number": ({"ds": [None, *range(1, 48)], "y": _VALUES}, "label 1 of 48 of the column 'ds' is missing"),
    "other notation": (
        {"ds": [f"{day}.1.2001" for day in range(48)], "y": _VALUES},
        "label 1 of the column 'ds', '0.1.2001', is not an ISO date such as 2001-12-31; convert the labels to time",
    ),
    "two notations": (
        {"ds": [*map(str, _DAYS[:-1]), "2001-02"], "y": _VALUES},
        "label 48 of the column 'ds', '2001-02', is not a date like '2001-01-01'; convert the labels to time stamps",
    ),
    "missing": ({"ds": _DAYS, "y": np.where(np.arange(48) == 4, np.nan, _VALUES)}, "value 5 of 48 is missing"),
    "empty": ({"ds": _DAYS[:0], "y": _VALUES[:0]}, "the series is empty"),
}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("wrong", _WRONG)
def test_a_wrong_frame(library: str, wrong: str) -> None:
    columns, message = _WRONG[wrong]
    frame = _make_frame(library, columns)
    for function in (Series, as_series, fit, backtest, find_season):
        with pytest.raises(SeriesError, match=message) as found:
            function(frame)
        assert "\n" not in str(found.value)


def test_frames_that_only_one_library_has() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    with pytest.raises(SeriesError, match=r"a LazyFrame.*collect"):
        fit(polars.LazyFrame({"ds": _DAYS, "y": _VALUES}))
    frame = pandas.DataFrame({"ds": _DAYS, "y": _VALUES})
    with pytest.raises(SeriesError, match="several columns of one name"):
        fit(pandas.concat([frame, frame["y"]], axis=1))
    with pytest.raises(SeriesError, match=r"no column 'ds' .columns: '0', '1'."):
        fit(frame.set_axis([0, 1], axis=1))

    subclass = type("Sales", (pandas.DataFrame,), {})
    assert as_series(subclass(frame)).label(48) == "2001-02-18"


def test_times_with_a_zone_have_their_distance_from_utc() -> None:
    polars = pytest.importorskip("polars")
    times = polars.Series(_DAYS).cast(polars.Datetime("us")).dt.replace_time_zone("America/New_York")
    frame = read_frame(polars.DataFrame({"ds": times, "y": _VALUES}))
    assert frame is not None
    assert write_labels(frame)[0] == "2001-01-01 00:00:00.000000-05:00"


def test_other_objects_are_no_frames() -> None:
    for other in (None, 3, [1.0], _VALUES, Series(_VALUES), object):
        assert read_frame(other) is None


def test_arrays_need_neither_library() -> None:
    code = (
        "import sys; from charloom import forecasting as f; y = list(range(9)); "
        "f.tabulate_forecast(y, f.fit(y, horizon=2).forecast()); sys.exit(bool({'pandas', 'polars'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
