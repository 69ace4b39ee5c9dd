"""Values of a series: finite real numbers, copied; everything else is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import CharloomError, SeriesError, SettingsError
from charloom.forecasting import ForecastSettings, Series, find_season, fit
from charloom.forecasting.series import as_series

_NUMBERS = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])


_DAYS = np.arange("2001-01-01", "2001-01-07", dtype="datetime64[D]")


class _Indexed:
    """Numbers with an index, as pandas has them."""

    def __init__(self, index: Any) -> None:
        self.index = np.asarray(index)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return _NUMBERS


@pytest.mark.parametrize(
    ("index", "later"),
    [
        (np.arange(6), "7"),
        (np.arange(2001, 2007), "7"),
        (np.arange(6) * 0.1, "7"),
        (_DAYS - _DAYS[0], "7"),
        (_DAYS, "2001-01-07"),
        (_DAYS.astype("M8[ns]"), "2001-01-07"),
        (_DAYS[0].astype("M8[s]") + np.arange(6) * np.timedelta64(12, "h"), "2001-01-04T00:00:00"),
        (_DAYS[0] + np.arange(6) * np.timedelta64(250, "ms"), "2001-01-01T00:00:01.500"),
        (np.array([f"2001-{month:02d}" for month in range(1, 7)], object), "2001-07"),
        (_DAYS.astype(object), "2001-01-07"),
    ],
)
def test_an_evenly_spaced_index(index: Any, later: str) -> None:
    series = as_series(_Indexed(index))  # type: ignore[arg-type]
    assert series.values.tolist() == _NUMBERS.tolist()
    assert series.label(6) == later
    assert fit(_Indexed(index), horizon=1).series.label(6) == later  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [Series, as_series, fit, find_season])
@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.arange(6)[::-1], "the numbers of the index do not increase in equal steps"),
        (np.arange(6, dtype="uint8")[::-1], "the numbers of the index do not increase"),
        ([0, 1, 2, 4, 5, 6], "the numbers of the index do not increase"),
        ([1, 1, 1, 1, 1, 1], "the numbers of the index do not increase"),
        (_DAYS[::-1], "line 2: 2001-01-05 is earlier than 2001-01-06 in line 1"),
        (_DAYS[[0, 1, 2, 3, 5, 4]], "line 6: 2001-01-05 is earlier than"),
        (_DAYS[[0, 1, 1, 2, 3, 4]], "line 3: 2001-01-02 is the same date as"),
        (
            _DAYS + np.array([0, 0, 0, 1, 1, 1]),
            "line 4: 2001-01-05 is 2 days after 2001-01-03, but the other dates are 1 day",
        ),
    ],
)
def test_an_invalid_index(make: Any, index: Any, message: str) -> None:
    with pytest.raises(SeriesError, match=f"{message}.*; sort the series by its index and fill its gaps, or pass its"):
        make(_Indexed(index))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([*_DAYS[:5], np.datetime64("NaT")], "label 6 of 6 of the index is missing; fill such labels"),
        ([0, 1, 2, 3, 4, np.nan], "label 6 of 6 of the index is missing; fill such labels"),
        (
            _DAYS[0] + np.arange(6) * np.timedelta64(1, "ns"),
            "label 2 of the index, .*, has nanoseconds, but dates are read to the microsecond; round the labels",
        ),
        (np.array(list("abcdef"), object), "label 1 of the index, 'a', is not an ISO date such as 2001-12-31; convert"),
    ],
)
def test_an_index_without_dates(index: Any, message: str) -> None:
    with pytest.raises(SeriesError, match=f"{message}.*, or pass its values alone"):
        Series(_Indexed(index))  # type: ignore[arg-type]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_integers_are_kept_to_their_last_digit_or_refused(numbers: list[int]) -> None:
    try:
        assert [int(value) for value in Series(np.array(numbers)).values] == numbers
    except SeriesError as error:
        assert "more digits than a float can represent" in str(error)  # noqa: PT017
        assert any(int(float(number)) != number for number in numbers)


def test_numbers_that_differ_in_their_last_bit_are_not_constant() -> None:
    values = np.where(np.arange(60) % 2, 1.0, np.nextafter(1.0, 2.0))
    found = fit(values, ForecastSettings(method="ar", horizon=2)).forecast()  # it would refuse constant ones
    assert found.interval(0.95)[0] == pytest.approx(1)


@pytest.mark.parametrize("make", [Series, as_series, fit, find_season])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ma.masked_equal(_NUMBERS, 4), "value 3 of 6 is missing"),
        (np.ma.masked_equal([3, 1, 4, 5], 5), "value 4 of 4 is missing"),
        (np.array(["2001-01-01", "2001-01-02"], "datetime64[D]"), "not a sequence of numbers"),
        (np.arange(4).astype("timedelta64[s]"), "not a sequence of numbers"),
        (["1", "2", "3", "4"], "not a sequence of numbers"),
        ("1234", "not a sequence of numbers"),
        ([1.0, 2.0, None, 4.0], "value 3 of 4 is missing"),
        (_NUMBERS.astype(np.complex128), "not a sequence of numbers"),
        (torch.tensor(_NUMBERS, requires_grad=True), "not a sequence of numbers"),
        (torch.zeros(4, device="meta"), "not a sequence of numbers"),
        ([10**400, 1, 2, 3], "value 1 of 4 is infinite"),
        ([[1], [2, 3]], "not a sequence of numbers"),
        ((x for x in _NUMBERS), "not a sequence of numbers"),
        (np.float64(3), "the series has 0 dimensions"),
        ([], "the series is empty"),
        ([1.0, np.nan, 2.0, 3.0], "value 2 of 4 is missing"),
        ([1.0, 2.0, 3.0, np.inf], "value 4 of 4 is infinite"),
        ([1.0, -1e301, 2.0, 3.0], r"the magnitude of value 2 \(-1e\+301\) exceeds 1e\+300; use a larger unit"),
    ],
)
def test_refused(make: Any, values: Any, message: str) -> None:
    with pytest.raises(SeriesError, match=message):
        make(values)


@given(
    st.lists(st.integers(-100, 100), min_size=1, max_size=9),
    st.sampled_from(["int8", "int64", "float16", "float32", "float64", "longdouble"]),
    st.sampled_from([list, tuple, np.asarray, np.ma.asarray, torch.tensor]),
)
def test_accepted(numbers: list[int], dtype: str, container: Any) -> None:
    array = np.array(numbers, "float64" if container is torch.tensor else dtype)
    series = as_series(container(array))
    assert series.values.tolist() == numbers
    assert type(series.values) is np.ndarray
    assert series.values.dtype == np.float64


def test_a_series_is_immutable() -> None:
    numbers = _NUMBERS.copy()
    series = Series(numbers)
    numbers[:] = 0
    assert (series.values == _NUMBERS).all()
    with pytest.raises(ValueError, match="read-only"):
        series.values[0] = 7
    assert as_series(series) is series


def test_attributes() -> None:
    series = Series(np.arange(5.0), "x")
    assert len(series.head(3)) == 3
    assert [series.label(i) for i in (0, 7)] == ["1", "8"]
    for wrong in (0, 6, 2.5, None):
        with pytest.raises(SettingsError, match="length is"):
            series.head(wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="place is -1"):
        series.label(-1)
    for field in ("name", "dates", "filled"):
        with pytest.raises(CharloomError, match=field):
            Series(_NUMBERS, **{field: 2.5})  # type: ignore[arg-type]
