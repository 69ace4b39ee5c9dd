"""Reading a series: each row counts, and unclear content is refused in one line."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charloom import CharloomError, InputError, SeriesError, SettingsError
from charloom.forecasting import Series, read_series


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _read(home: Path, content: str | bytes, column: str | int | None = None, **options: Any) -> Series:
    data = content if isinstance(content, bytes) else content.encode()
    (home / "x.csv").write_bytes(data)
    return read_series("x.csv", column, **options)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("d,a\n2001,1\n2002,2.5\n2003,-3e1\n", {}),
        ("d;a\n2001;1\n2002;2,5\n2003;-3e1\n", {"delimiter": ";", "decimal": ","}),
        ("d\ta\r\n2001\t1\r\n2002\t2.5\r\n2003\t-3e1\r\n", {"delimiter": "tab"}),
        ("d\ta\n2001\t1\n2002\t2.5\n2003\t-3e1", {"delimiter": r"\t"}),
        ('d|"a"\n2001| 1\n2002| 2.5\n2003| "-3e1"\n\n|\n \n', {"delimiter": "|"}),
        ("d  a\n2001  1\n2002  2.5\n2003  -3e1\n", {"delimiter": " "}),
        ("\ufeffa\n1\n2.5\n-3e1\n\n\n", {}),
        ("a\r1\r2.5\r-3e1\r", {}),
        ("# a comment, with a comma\na\n1\n2.5\n-3e1", {"skip_rows": 1}),
        ('"Data Source","Bank",\n\n"d","a"\n"2001","1"\n"2002","2.5"\n"2003","-3e1"\n', {"skip_rows": 2}),
        ("sep=;\nd;a\n2001;1\n2002;2.5\n2003;-3e1\n", {"skip_rows": 1, "delimiter": ";"}),
        ("1\n2.5\n-3e1\n", {"header": False}),
        ("2001,1\n2002,2.5\n2003,-3e1\n", {"header": False}),
        ("x,2020\n2001,1\n2002,2.5\n2003,-3e1\n", {"header": True}),
        ("d,a,,\n2001,1,,\n2002,2.5,,\n2003,-3e1,,\n,,,\n", {}),
        ('note,d,a\n"two\nlines, one cell",2001,1\n"",2002,2.5\nx,2003,-3e1\n', {"time": "d", "column": "a"}),
        ("d,a\n31.12.2001,1\n1.1.2002,2.5\n2.1.2002,-3e1\n", {"date_format": "%d.%m.%Y"}),
    ],
)
def test_tables(home: Path, content: str, options: dict[str, Any]) -> None:
    for data in (content, content.removeprefix("\ufeff").encode("utf-16")):
        series = _read(home, data, **options)
        assert series.values.tolist() == [1, 2.5, -30]
        assert (series.dates is None) == (content.lstrip("\ufeff")[0] in "a1#")
        if "header" not in options:
            assert series.name == "a"


def test_a_table_between_tabs_by_its_suffix(home: Path) -> None:
    (home / "x.TSV").write_text("d\ta,b\n2001\t1\n2002\t2\n")
    assert read_series("x.TSV").values.tolist() == [1, 2]
    (home / "x.TSV").write_text("d,a\n2001,1\n2002,2\n")
    with pytest.raises(
        SeriesError,
        match=r"line 2: '2001,1' in column 'd,a' is not a number like -1234.5 or 1e6; .* delimiter if it contains",
    ):
        read_series(home / "x.TSV")


def test_columns_by_name_and_number(home: Path) -> None:
    table = "date,n,b\n2001-01,1,4\n2001-02,2,5\n2001-03,4,7\n"
    assert _read(home, table, "b").values.tolist() == [4, 5, 7]
    assert _read(home, table, 3).values.tolist() == [4, 5, 7]
    assert _read(home, table, "2").values.tolist() == [1, 2, 4]
    assert _read(home, "date,2,1\n2001,5,6\n2002,6,8\n", 3, header=True).values.tolist() == [6, 8]
    assert _read(home, "date,2,1\n2001,5,6\n2002,6,8\n", "1", header=True).values.tolist() == [6, 8]
    with pytest.raises(
        SeriesError, match=r"^x\.csv: the file has several columns \('date', 'n', 'b'\); choose one with column"
    ):
        _read(home, table)
    with pytest.raises(
        SettingsError,
        match=r"column is 'c': the table has no such column; pass one of 'date', 'n', 'b', or a number from 1 to 3",
    ):
        _read(home, table, "c")
    with pytest.raises(SettingsError, match="time is 'n': it is also the column to forecast"):
        _read(home, table, "n", time="n")
    with pytest.raises(SettingsError, match="column is 'x': 2 columns have this header; pass the column's number"):
        _read(home, "d,x,x\n2001,1,2\n2002,2,3\n", "x")


def test_the_dates_are_the_first_other_column_or_the_named_one(home: Path) -> None:
    table = "v,a,b\n1,2001,x\n4,2002,y\n2,2003,z\n"
    assert _read(home, table, "v").label(3) == "2004"
    assert _read(home, table, "v", time="a").label(3) == "2004"
    assert _read(home, table, "v", time="none").label(3) == "4"
    with pytest.raises(SeriesError, match="line 2: 'x' in column 'b' is not an ISO date"):
        _read(home, table, "v", time="b")
    with pytest.raises(SeriesError, match="line 2: '1' in column 'v' is not an ISO date"):
        _read(home, table, "a")


@pytest.mark.parametrize(
    "content",
    [
        *("1\n2\n", "2001,x\n2002,3\n", "d,1\n2001,2\n", ",\n2001,2\n", "31.12.2001,NA\n1.1.2002,2\n"),
        *('"1,005"\n998\n991\n', "1 234\n5\n", "5 kg\n6\n", "(1)\n2\n", "$5k\n6\n", "\u0663\n4\n", ".5e3\n4\n"),
        *("inf\n1\n", "-Infinity\n1\n", "\u221e\n1\n", "-\n1\n", "--\n1\n", "?\n1\n", "n.a.\n1\n", "#DIV/0!\n1\n"),
        *("NaT,1\n2001,2\n", "1/1/23,--\n2001-01-01,2\n", "1 May,x\n2001-02,2\n"),
    ],
)
def test_a_header_that_may_be_values_is_refused(home: Path, content: str) -> None:
    date_format = "%d.%m.%Y" if "31" in content else None
    with pytest.raises(SeriesError, match=r"line 1: '.*' may be a value or the name of a column; pass header=False or"):
        _read(home, content, date_format=date_format)


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "Q1",
        "CO2",
        "PM2.5",
        "T 1",
        "% of 5",
        "#units",
        "[km]",
        "\u00e9t\u00e9",
        "\u4e00\u6708",
        "-x",
        "infl",
        "nano",
        "may be",
    ],
)
def test_headers(home: Path, name: str) -> None:
    for table in (f"{name}\n1\n2\n", f",{name}\n2001,1\n2002,2\n", f"{name},v\n2001,1\n2002,2\n"):
        assert _read(home, table).values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^x\.csv: the file is empty"),
        (b" \n\n", "empty"),
        (b"x\n1\n\0\n", "not a text file .NUL character at position 4."),
        (b"x\n1\n\xff\n", "line 3 is not valid UTF-8 .byte 0xff."),
        ("x\n1\n".encode("utf-16-le"), "not a text file .NUL character at position 1."),
        ("x\n1\n".encode("utf-32"), "not a text file"),
        (b"\xff\xfex", "line 1 is not valid UTF-16 .byte 0x78."),
        (b"\xd0\xcf\x11\xe0\0\0", "line 1 is not valid UTF-8 .byte 0xd0.; save the table as CSV in UTF-8"),
        ("x\r\r\n1\r\r\n2\r\r\n", "lines end in two carriage returns and a line feed"),
        ("x\n1\ntwo\n3\n", "line 3: 'two' in column 'x' is not a number like -1234.5"),
        (
            "x\n1\n2,5\n3\n",
            "line 3 has 2 columns, but line 1 has 1; .* a cell that contains the delimiter must be quoted",
        ),
        (
            "x\n1\n\n2\nNA\n3\n",
            r"line 3: no value in column 'x' \(missing in 2 of 5 rows\); pass missing='interpolate' to fill the gaps",
        ),
        ("x\n1\n# 2\n3\n", "line 3: '# 2' in column 'x' is not a number like -1234.5"),
        ("x\n1\n2 # 3\n3\n", "line 3: '2 # 3' in column 'x' is not a number like -1234.5"),
        ("d,x\n2001,1\n\n2002,2\n", "line 3 is empty; delete it or, if the header follows, pass skip_rows=3"),
        ("\nd,x\n2001,1\n2002,2\n", "line 1 is empty; pass skip_rows=1"),
        ("x\n1\n1e301\n3\n", "the magnitude of value 2 .1e.301. exceeds 1e.300"),
        ("date,x\n2001-02,1\n2001-01,2\n", "line 3: 2001-01 is earlier than 2001-02 in line 2"),
        ("a,x\nu,1\nv\n", "line 3 has 1 column, but line 1 has 2; delete the row if it is not part of the table"),
        ("a,x\n2001,1\n2002,2,\n", "line 3 has 3 columns, but line 1 has 2"),
        (
            "Title\nd,x\n2001,1\n",
            "line 2 has 2 columns, but line 1 has 1; .* if this line is the header, pass skip_rows=1",
        ),
        ('d,x\n2001,1\n2002,"2\n2003,3\n', "line 3 is not valid CSV .unexpected end of data.; check the quotes"),
        ('d,x\n2001,1\n2002,"2"0\n', "line 3 is not valid CSV"),
        ('d,x\n2001,1\n"20\n02",2\n2003,x\n', r"line 3: '20\\n02' in column 'd' is not an ISO date like '2001'"),
        (
            "sep=;\nd;x\n2001;1\n",
            "line 1 declares the delimiter for Excel .* not part of the table; pass skip_rows=1 and delimiter",
        ),
        (
            "d;x\n2001;1\n2002;2\n",
            "line 2: '2001;1' in column 'd;x' is not a number like -1234.5 or 1e6; .* delimiter if it contains",
        ),
        ("d;x\n2001;1,5\n2002;2,5\n", "line 2 has 2 columns, but line 1 has 1; pass delimiter if a different"),
        ("a,b\n", r"the header \('a', 'b'\) has no rows below it"),
        (",\n,\n", r"the header \('', ''\) has no rows"),
        ("units\n\n", r"the header \('units'\) has no rows"),
    ],
)
def test_refusals(home: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SeriesError, match=message) as caught:
        _read(home, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "NA", "nan", ".", '""'])
@pytest.mark.parametrize("missing", ["refuse", "interpolate"])
def test_missing_values_at_the_ends_are_never_filled(home: Path, value: str, missing: str) -> None:
    for table in ("t,x\n2001,{0}\n2002,1\n2003,{1}\n2004,3\n2005,{2}\n", "x\n{0}\n1\n{1}\n3\n{2}\n"):
        with pytest.raises(
            SeriesError, match="line 2: no value in column 'x', and none before line 3; delete the rows"
        ):
            _read(home, table.format(value, value, 5), missing=missing)
        if value or "," in table:  # otherwise that is an empty line at the end
            with pytest.raises(SeriesError, match="line 6: no value in column 'x', and none after line 5; delete the"):
                _read(home, table.format(0, value, value), missing=missing)
        if missing == "interpolate":
            series = _read(home, table.format(0, value, 5), missing=missing)
            assert series.values.tolist() == [0, 1, 2, 3, 5]
            assert series.filled == 1
        with pytest.raises(SeriesError, match="column 'x' contains no values"):
            _read(home, "d,x\n2001,\n2002,\n", missing=missing)


def test_gaps_are_filled_by_straight_lines(home: Path) -> None:
    series = _read(home, "x\n1.5\n\n\nNA\n3.5\n", missing="interpolate")
    assert series.values.tolist() == [1.5, 2, 2.5, 3, 3.5]
    assert series.filled == 3
    series = _read(home, "x\n1\n2\n\n5\n", missing="interpolate")
    assert series.values.tolist() == [1, 2, 4, 5], "counts stay counts"
    series = _read(home, "t,x\na,1\nb,\nc,nan\nd,4\n", "x", missing="interpolate", time="none")
    assert series.values == pytest.approx(np.array([1, 2, 3, 4]))
    assert series.filled == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "drop"}, "missing is 'drop': choose one of refuse, interpolate"),
        ({"delimiter": ";;"}, "delimiter is ';;': it must be the word tab, or a single character"),
        ({"delimiter": ""}, "delimiter is '': it must be the word tab, or a single character"),
        ({"delimiter": "x"}, "delimiter is 'x': it must be the word tab, or a single character"),
        ({"delimiter": "\n"}, "it must be the word tab, or a single character"),
        ({"decimal": "x"}, "decimal is 'x': it must be one of '.' ','"),
        ({"thousands": "_"}, "thousands is '_': it must be one of ',' '.' ' '"),
        ({"thousands": "."}, "thousands is '.': it is also the decimal separator; set decimal=','"),
        ({"thousands": ",", "decimal": ","}, "thousands is ',': it is also the decimal separator; set decimal='.'"),
        ({"date_format": "%d.%m."}, "date_format is '%d.%m.': it does not contain the year (%Y or %y)"),
        ({"date_format": "%H:%M"}, "it does not contain the year"),
        ({"date_format": "dd.mm.yyyy"}, "it does not contain the year"),
        ({"date_format": "%G-W%V"}, "strptime cannot parse dates with this format"),
        ({"date_format": "%Y %Y"}, "strptime cannot parse dates with this format"),
        ({"date_format": "%"}, "strptime cannot parse dates with this format"),
        ({"date_format": 7}, "it must be a string"),
        ({"header": "no"}, "header is 'no': it must be true or false"),
        ({"skip_rows": -1}, "skip_rows is -1: it must be an integer"),
        ({"skip_rows": 2.0}, "skip_rows is 2.0: it must be an integer"),
    ],
)
def test_invalid_options(home: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        _read(home, "x\n1\n2\n", **options)


def test_missing_rows_cannot_be_skipped(home: Path) -> None:
    for skip_rows in (3, 4):
        with pytest.raises(SettingsError, match=f"skip_rows is {skip_rows}: "):
            _read(home, "x\n1\n2\n", skip_rows=skip_rows)


def test_rows_without_a_value(home: Path) -> None:
    with pytest.raises(SeriesError, match="all rows are empty"):
        _read(home, ",\n,\n", header=False)


def test_paths_that_are_not_files(home: Path) -> None:
    with pytest.raises(SeriesError, match=r"^missing\.csv: no such file or directory$"):
        read_series("missing.csv")
    with pytest.raises(SeriesError, match="is a directory"):
        read_series(home)
    with pytest.raises(SeriesError, match="file name too long"):
        read_series("a" * 300)
    with pytest.raises(SeriesError, match="/dev/zero: this is a device, not a file"):
        read_series("/dev/zero")
    with pytest.raises(SeriesError, match="the file name is empty"):
        read_series("")
    with pytest.raises(InputError, match="file is of type NoneType"):
        read_series(None)  # type: ignore[arg-type]


def test_any_path_is_a_file(home: Path) -> None:
    (home / "x.tsv").write_text("d\tv\n2001\t1\n2002\t2.5\n")
    (entry,) = os.scandir(home)
    for file in ("x.tsv", Path("x.tsv"), entry):
        assert read_series(file).values.tolist() == [1, 2.5]


@pytest.mark.parametrize("option", ["column", "time"])
def test_unknown_columns(home: Path, option: str) -> None:
    wrong: Any
    for wrong in ("1" * 5000, 10**5000, 0, -1, 4, True, 2.5, "\u0661", [1]):
        with pytest.raises(CharloomError, match=rf"no column|{option}( is |=)"):
            _read(home, "a,b,c\n1,2,2001\n", **{"column": 1, option: wrong})
