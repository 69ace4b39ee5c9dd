"""Numbers as people write them: decimal points, decimal commas, and what may be either."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import CharloomWarning, SeriesError
from charloom.forecasting import Series, read_series
from charloom.forecasting.cells import counts_up, read_numbers, resembles_number


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _read(home: Path, content: str, column: str | None = None, **options: str) -> Series:
    (home / "x.csv").write_text(content)
    return read_series("x.csv", column, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
@pytest.mark.parametrize("column", [None, "v", "2"])
def test_decimal_commas_beside_years(home: Path, mark: str, column: str | None) -> None:
    series = _read(home, "d;v\n1900;0,5\n1901;-1,25\n1902;2\n1903;,5e1\n".replace(";", mark), column)
    assert series.values.tolist() == [0.5, -1.25, 2, 5]
    assert series.name == "v"
    assert [series.label(place) for place in (0, 4)] == ["1900", "1904"]


def test_decimal_commas_without_a_header(home: Path) -> None:
    assert _read(home, "a;0,5\nb;1,5\nc;1,7\n").values.tolist() == [0.5, 1.5, 1.7]


def test_three_decimals_everywhere_between_semicolons_are_no_thousands(home: Path) -> None:
    series = _read(home, "d;v\n1900;1,500\n1901;NA\n1902;2,250\n", missing="interpolate")
    assert series.values.tolist() == [1.5, 1.875, 2.25]


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.integers(1, 8).filter(lambda places: places != 3))
def test_a_comma_reads_as_a_point_does(numbers: list[int], places: int) -> None:
    cells = [f"{number / 10**places:.{places}f}" for number in numbers]
    lines = list(range(len(cells)))
    found = read_numbers([cell.replace(".", ",") for cell in cells], lines, delimiter=";")
    assert np.array_equal(found, read_numbers(cells, lines, delimiter=","))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("d;v\n1900;0,5\n1901;0.5\n1902;2\n", "line 3: '0.5' has a point, and '0,5' in line 2 a comma: write decimals"),
        ("d;v\n1900;0.5\n1901;0,5\n1902;2\n", "line 2: '0.5' has a point, and '0,5' in line 3 a comma: write decimals"),
        ("d;v\n1900;1.234,5\n1901;0,5\n1902;2\n", "line 2: '1.234,5' has a point, and '0,5' in line 3 a comma"),
        ("d;v\n1900;950\n1901;1,020\n1902;1,150\n", "line 3: '1,020' may be 1.020 or 1020: write decimals"),
        ("d\tv\n1900\t1,020\n1901\t1,150\n1902\t1,300\n", "line 2: '1,020' may be 1.020 or 1020: write decimals"),
        ("d;v\n1900;0,5\n1901;1,234,567\n1902;2\n", "'1,234,567' is not a number (write decimals with a point, and th"),
        ("d;v\n1900;0,5\n1901;x\n1902;2\n", "several|no column of numbers but 'd', which only counts up: column='d' t"),
        ('d,v\n1900,"0,5"\n1901,"0,7"\n1902,1\n', "line 2: '0,5' is not a number (write decimals with a point)"),
        (
            'd,v\n1900,"1,234"\n1901,"1,300"\n1902,1\n',
            "line 2: '1,234' is not a number (write decimals with a point, a",
        ),
        ("d;v\n1900;0,5 EUR\n1901;0,7 EUR\n1902;1 EUR\n", "no column of numbers but 'd', which only counts up"),
        ("d;v;w\n1900;0,5;1\n1901;0,7;3\n1902;1;2\n", "several columns of numbers ('v', 'w'): column='v' takes the"),
    ],
)
def test_what_may_be_two_numbers_is_refused(home: Path, content: str, message: str) -> None:
    with pytest.raises(SeriesError, match="|".join(re.escape(part) for part in message.split("|"))):
        _read(home, content)


def test_zeros_and_lengths_tell_decimals_from_thousands(home: Path) -> None:
    for values in ("0,512;1,234", "1,23;1,234", "1234,567;1,234"):
        first, second = values.split(";")
        found = _read(home, f"d;v\nx;{first}\ny;{second}\nz;2\n").values.tolist()
        assert found == [float(first.replace(",", ".")), 1.234, 2]


def test_numbers_of_rows_are_not_forecast(home: Path) -> None:
    table = "n,v\n0,1\n1,4\n2,2\n3,5\n"
    with pytest.warns(CharloomWarning, match="column 'n' only counts up: 'v' is forecast, and forecasts are numbered"):
        series = _read(home, table)
    assert series.values.tolist() == [1, 4, 2, 5]
    assert series.dates is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _read(home, table, "v").values.tolist() == [1, 4, 2, 5]
        assert _read(home, table, "n").values.tolist() == [0, 1, 2, 3]
        years = _read(home, "n,v\n1900,1\n1901,4\n1902,2\n", "n")
    assert years.values.tolist() == [1900, 1901, 1902]
    assert years.dates is None, "what is forecast is not its own time"
    with pytest.raises(SeriesError, match="several columns of numbers"):
        _read(home, table, time="none")
    with pytest.warns(CharloomWarning, match="forecasts are numbered"):
        assert _read(home, "n,v\n9990,1\n9991,4\n9992,2\n").label(3) == "4"


def test_what_counts_up() -> None:
    assert counts_up(["5", "10", "15"])
    for cells in (["1", "2"], ["1", "2", "4"], ["3", "2", "1"], ["1", "1", "1"], ["1.0", "2.0", "3.0"], ["1", "", "3"]):
        assert not counts_up(cells), cells


def test_german_dates_resemble_no_numbers() -> None:
    assert not resembles_number("31.12.2001")
    for cell in ("1", "-0,5", "1.234.567", "1,234.5", "1.234,5", "2e3"):
        assert resembles_number(cell), cell


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n", r"a header \('a', 'b'\) and no rows under it"),
        ("# a comment\nunits\n\n", r"a header \('units'\) and no rows under it"),
    ],
)
def test_too_few_rows(home: Path, content: str, message: str) -> None:
    with pytest.raises(SeriesError, match=message):
        _read(home, content)


def test_dates_end_with_the_year_9999(home: Path) -> None:
    series = _read(home, "date,v\n9999-11,1\n9999-12,2\n")
    with pytest.raises(SeriesError, match="beyond year 9999: time='none' numbers the points instead"):
        series.label(2)
