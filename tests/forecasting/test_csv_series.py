"""Reading a series: what is found by itself, and one clear line for what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from charloom import CharloomWarning, SeriesError
from charloom.forecasting import Series, read_series


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _read(home: Path, content: str | bytes, column: str | int | None = None, **options: str) -> Series:
    data = content if isinstance(content, bytes) else content.encode()
    (home / "x.csv").write_bytes(data)
    return read_series("x.csv", column, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x\n2.5,y\n-3e1,z\n",
        "a;b\n1;x\n2.5;y\n-3e1;z\n",
        "a\tb\r\n1\tx\r\n2.5\ty\r\n-3e1\tz\r\n",
        'b|"a"\nx| 1\ny| 2.5\n\nz| -3e1\n',
        "\ufeffa\n1\n2.5\n-3e1\n",
        "# a comment, with a comma\na\n1\n2.5\n-3e1",
        "1\n2.5\n-3e1\n",
    ],
)
def test_tables(home: Path, content: str) -> None:
    series = _read(home, content)
    assert series.values.tolist() == [1, 2.5, -30]
    assert series.name == ("a" if "a" in content else "value")


def test_columns_by_name_and_number(home: Path) -> None:
    table = "date,n,b\n2001-01,1,4\n2001-02,2,5\n2001-03,4,7\n"
    assert _read(home, table, "b").values.tolist() == [4, 5, 7]
    assert _read(home, table, 3).values.tolist() == [4, 5, 7]
    assert _read(home, table, "2").values.tolist() == [1, 2, 4]
    with pytest.raises(SeriesError, match=r"^x\.csv: several columns of numbers \('n', 'b'\): column='n'"):
        _read(home, table)
    with pytest.raises(SeriesError, match=r"no column 'c': there are 'date', 'n', 'b'; or give a number from 1 to 3"):
        _read(home, table, "c")


@pytest.mark.parametrize(
    ("labels", "later"),
    [
        (["2001-11", "2001-12"], ["2002-01", "2002-02"]),
        (["2001-01-31", "2001-02-28", "2001-03-31"], ["2001-04-30", "2001-05-31"]),
        (["2000-11-29", "2000-12-29"], ["2001-01-29", "2001-02-28", "2001-03-29"]),
        (["1999", "2000"], ["2001", "2002"]),
        (["2001/12/24", "2001/12/31"], ["2002/01/07"]),
        (["20011230", "20011231"], ["20020101"]),
        (["2001-12-31 23:00", "2001-12-31 23:30"], ["2002-01-01 00:00:00"]),
        (["2001-12-31T23:00:00+02:00", "2001-12-31T23:30:00+02:00"], ["2002-01-01T00:00:00+02:00"]),
        (["2001-03", "2001-06", "2001-09"], ["2001-12", "2002-03"]),
    ],
)
def test_dates_go_on(home: Path, labels: list[str], later: list[str]) -> None:
    rows = "".join(f"{label},{i}\n" for i, label in enumerate(labels))
    series = _read(home, "date,x\n" + rows)
    assert [series.label(i) for i in range(len(labels) + len(later))] == labels + later
    assert _read(home, "date,x\n" + rows, time="none", column="x").label(len(labels)) == str(len(labels) + 1)


def test_uneven_dates_are_refused_where_they_are_asked_for(home: Path) -> None:
    table = "date,x\n2001-01-01,1\n2001-01-02,2\n2001-01-04,3\n2001-01-05,3\n2001-01-06,3\n"
    with pytest.raises(SeriesError, match=r"line 4: 2001-01-04 comes 2 days after 2001-01-02, others 1 day:"):
        _read(home, table, time="date")
    with pytest.warns(CharloomWarning, match="line 4: .* must be evenly spaced; they are taken to be"):
        series = _read(home, table)
    assert series.label(5) == "6"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^x\.csv: empty"),
        (b" \n\n", "empty"),
        (b"x\n1\n\0\n", "not a text file .a NUL byte at 4."),
        (b"x\n1\n\xff\n", "line 3: not UTF-8 .byte 0xff."),
        ("x\n1\ntwo\n3\n", "line 3: 'two' is not a number"),
        ("x\n1\n2,5\n3\n", "line 3 has 2 columns, and the first line 1"),
        ("x\n1\n\n2\nNA\n3\n", r"line 5: no value in column 'x' \(1 of 4 is missing\): missing='interpolate'"),
        ("x\n1\ninf\n3\n", "line 3: 'inf' is not a finite number"),
        ("x\n1\n1e999\n3\n", "not a finite number"),
        ("x\n1\n1e301\n3\n", "value 2 is 1e.301, more than 1e.300"),
        ("date,x\n2001-02,1\n2001-01,2\n", "line 3: 2001-01 comes after 2001-02: sort the file"),
        ("x,x\n1,2\n2,3\n", "several columns|2 columns are called 'x'"),
        ("a,x\nu,1\nv\n", "line 3 has 1 column, and column 2 is asked for"),
    ],
)
def test_what_cannot_be_read(home: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SeriesError, match=message) as caught:
        _read(home, content)
    assert "\n" not in str(caught.value)


def test_what_is_no_file(home: Path) -> None:
    with pytest.raises(SeriesError, match=r"^missing\.csv: no such file or directory$"):
        read_series("missing.csv")
    with pytest.raises(SeriesError, match="is a directory"):
        read_series(home)
    with pytest.raises(SeriesError, match="/dev/zero: a device, not a file"):
        read_series("/dev/zero")
    with pytest.raises(SeriesError, match="name of the file is empty"):
        read_series("")


def test_time_that_is_none(home: Path) -> None:
    with pytest.raises(SeriesError, match="column 'a' has no dates such as"):
        _read(home, "a,x\nu,1\nv,2\n", time="a")


def test_gaps_are_filled_by_straight_lines(home: Path) -> None:
    series = _read(home, "x\n1\nNA\n\n3\n", missing="interpolate")
    assert series.values.tolist() == [1, 2, 3]
    assert series.filled == 1
    series = _read(home, "t,x\na,1\nb,\nc,nan\nd,4\n", "x", missing="interpolate")
    assert series.values == pytest.approx(np.array([1, 2, 3, 4]))
    assert series.filled == 2
