"""Which values a series takes: finite real numbers, copied; everything else is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import CharloomError, SeriesError, SettingsError
from charloom.forecasting import Series, find_season, fit
from charloom.forecasting.series import as_series

_NUMBERS = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])


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
        ([1.0, 2.0, None, 4.0], "not a sequence of numbers"),
        (_NUMBERS.astype(np.complex128), "not a sequence of numbers"),
        (torch.tensor(_NUMBERS, requires_grad=True), "not a sequence of numbers"),
        (torch.zeros(4, device="meta"), "not a sequence of numbers"),
        ([10**400, 1, 2, 3], "not a sequence of numbers"),
        ([[1], [2, 3]], "not a sequence of numbers"),
        ((x for x in _NUMBERS), "not a sequence of numbers"),
        (np.float64(3), "the series has 0 dimensions"),
        ([], "the series is empty"),
        ([1.0, np.nan, 2.0, 3.0], "value 2 of 4 is missing"),
        ([1.0, 2.0, 3.0, np.inf], "value 4 of 4 is infinite"),
        ([1.0, -1e301, 2.0, 3.0], "value 2 is -1e[+]301, more than"),
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
def test_taken(numbers: list[int], dtype: str, container: Any) -> None:
    array = np.array(numbers, "float64" if container is torch.tensor else dtype)
    series = as_series(container(array))
    assert series.values.tolist() == numbers
    assert type(series.values) is np.ndarray
    assert series.values.dtype == np.float64


def test_a_series_does_not_change() -> None:
    numbers = _NUMBERS.copy()
    series = Series(numbers)
    numbers[:] = 0
    assert (series.values == _NUMBERS).all()
    with pytest.raises(ValueError, match="read-only"):
        series.values[0] = 7
    assert as_series(series) is series


def test_its_parts() -> None:
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
