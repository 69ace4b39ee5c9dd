"""Tables of all notations, orders and options: each is read exactly, or refused."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charloom import SeriesError, SettingsError
from charloom.forecasting import Series, read_series
from examples import examples

_ISO: dict[str, Callable[[datetime], str]] = {
    "year": lambda time: f"{time:%Y}",
    "month": lambda time: f"{time:%Y-%m}",
    "quarter": lambda time: f"{time:%Y}-Q{(time.month + 2) // 3}",
    "week": lambda time: f"{time:%G-W%V}",
    "day": lambda time: f"{time:%Y-%m-%d}",
    "time": lambda time: f"{time:%Y-%m-%d %H:%M}",
}
_FORMATS = {
    "year": ["%y", "FY%Y"],
    "month": ["%m/%Y", "%b-%y", "%B %Y", "%Y%m", "%YM%m", "%m.%Y"],
    "day": [
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%b-%y",
        "%b %d, %Y",
        "%Y.%m.%d",
        "%d%m%Y",
        "%a %Y-%m-%d",
        "%y-%m-%d",
    ],
    "time": ["%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d %H%M"],
}
_JUNK = [
    ["Total", "3671"],
    ["Source: an office"],
    ["# note", ""],
    ["", "5"],
    ["2001-02-30", "5"],
    ["x", "y"],
    ["", ""],
    [],
]


@dataclass(frozen=True)
class _Table:
    """A table as a user may have it, and its meaning.

    Attributes:
        times: Times in increasing order; one more than there are values.
        values: Values in the order of time.
        rows: Cells of dates and values in the order of the file.
        options: Options with which it can be read.
        sound: True if it can be read.
    """

    times: list[datetime]
    values: list[Decimal]
    write_time: Callable[[datetime], str]
    rows: list[list[str]]
    options: dict[str, Any]
    sound: bool = True


@st.composite
def _tables(draw: st.DrawFn) -> _Table:
    kind = draw(st.sampled_from(list(_ISO)))
    times = _times(kind, draw(st.integers(1970, 2030)), draw(st.integers(1, 3)), draw(st.integers(0, 11)))
    times = times[: draw(st.integers(3, 9)) + 1]
    options: dict[str, Any] = {}
    write = _ISO[kind]
    if kind in _FORMATS and draw(st.booleans()):
        options["date_format"] = date_format = draw(st.sampled_from(_FORMATS[kind]))
        write = lambda time: time.strftime(date_format)  # noqa: E731
    options["delimiter"] = draw(st.sampled_from([",", ";", "\t", "|"]))
    options["decimal"] = decimal = draw(st.sampled_from([".", ","]))
    thousands = draw(st.sampled_from([None, *(sign for sign in (".", ",", " ", "'") if sign != decimal)]))
    options |= {"thousands": thousands} if thousands else {}
    numbers = st.decimals(-3000, 3000, places=draw(st.sampled_from([0, 0, 1, 2, 3])))
    values = draw(st.lists(numbers, min_size=len(times) - 1, max_size=len(times) - 1, unique=True))
    rows = [[write(time), _written(value, decimal, thousands)] for time, value in zip(times, values, strict=False)]
    return _Table(times, values, write, rows, options)


def _written(value: Decimal, decimal: str, thousands: str | None) -> str:
    text = f"{value:,f}" if thousands else f"{value:f}"
    return text.replace(",", "\0").replace(".", decimal).replace("\0", thousands or "")


def _times(kind: str, year: int, step: int, first: int) -> list[datetime]:
    start = datetime(year, 1, 1) + timedelta(days=first)
    if kind == "year":
        return [datetime(year + step * i, 1, 1) for i in range(10)]
    if kind in ("month", "quarter"):
        months = [first // 3 * 3 + step * i * (3 if kind == "quarter" else 1) for i in range(10)]
        return [datetime(year + month // 12, month % 12 + 1, 1) for month in months]
    if kind == "week":
        start -= timedelta(days=start.weekday())
    unit = {"week": timedelta(weeks=1), "day": timedelta(days=1), "time": timedelta(minutes=30)}[kind]
    return [start + step * i * unit for i in range(10)]


@st.composite
def _broken_tables(draw: st.DrawFn) -> _Table:
    """Draws invalid tables."""
    table = draw(_tables())
    rows, place = list(table.rows), draw(st.integers(0, len(table.rows) - 1))
    how = draw(st.sampled_from(["reverse", "swap", "repeat", "stack", "leave out", "blank", "junk", "interleave"]))
    if how == "reverse":
        rows.reverse()
    elif how == "swap":
        rows.insert(0, rows.pop())
    elif how == "repeat":
        rows.insert(place, rows[place])
    elif how == "stack":
        rows += rows
    elif how == "interleave":
        rows = [row for row in rows for _ in range(2)]
    elif how == "leave out":
        # In a shorter table the remaining dates may be evenly spaced.
        rows.pop(draw(st.integers(1, len(rows) - 2))) if len(rows) > 3 else rows.reverse()
    elif how == "blank":
        end = draw(st.sampled_from([0, -1]))
        rows[end] = [rows[end][0], draw(st.sampled_from(["", "NA"]))]
    else:
        junk = draw(st.sampled_from(_JUNK))
        rows.insert(place, junk)  # not at the end: empty rows are dropped there
    return replace(table, rows=rows, sound=False)


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_table_is_read_exactly_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    draw = data.draw
    table = draw(_tables() | _broken_tables())
    options = dict(table.options)
    for name in list(options):
        if options[name] == {"delimiter": ",", "decimal": "."}.get(name) or draw(st.booleans(), f"without {name}"):
            del options[name]
    is_named = all(
        options.get(name, {"delimiter": ",", "decimal": "."}.get(name)) == value
        for name, value in table.options.items()
    )
    if draw(st.booleans(), "header"):
        lines = [["d", "v"], *table.rows]
        options |= draw(st.sampled_from([{}, {"header": True}]))
    else:
        lines = table.rows
        options |= {"header": False}
    if not is_named and options.get("delimiter", ",") == "," and _all_look_like_three_decimals(table.rows):
        return
    text = io.StringIO()
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting: Any = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(text, delimiter=table.options["delimiter"], lineterminator=end, quoting=quoting).writerows(lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    (tmp_path / "x.csv").write_bytes((text.getvalue() + draw(st.sampled_from(["", end * 2]))).encode(encoding))
    options["missing"] = draw(st.sampled_from(["refuse", "interpolate"]))
    found = _read(tmp_path / "x.csv", options)
    if isinstance(found, str):
        ambiguous = "decimal" not in options and "may be" in found
        assert not (is_named and table.sound) or ambiguous, found
        return
    assert table.sound
    assert found.values.tolist() == [float(value) for value in table.values]
    assert found.dates is not None
    assert [found.label(i) for i in range(len(table.times))] == [table.write_time(time) for time in table.times]
    assert found.dates.times == tuple(table.times[:-1])


def _read(file: Path, options: dict[str, Any]) -> Series | str:
    """Returns the series, or the message of its refusal."""
    try:
        return read_series(file, **options)
    except (SeriesError, SettingsError) as error:
        return str(error)


def _all_look_like_three_decimals(rows: list[list[str]]) -> bool:
    """Returns True for a column of only such numbers, which need not be thousands."""
    return all(len(row) > 1 and "." in row[1] for row in rows)


@pytest.mark.parametrize("junk", _JUNK)
def test_an_invalid_row_is_refused_in_any_place(tmp_path: Path, junk: list[str]) -> None:
    rows = [f"2001-{month:02d},{month * month}" for month in range(1, 13)]
    for place in range(12):
        (tmp_path / "x.csv").write_text("\n".join(["d,v", *rows[:place], ",".join(junk), *rows[place:]]) + "\n")
        with pytest.raises(SeriesError, match=f"line {place + 2}"):
            read_series(tmp_path / "x.csv", missing="interpolate")
    (tmp_path / "x.csv").write_text("\n".join(["d,v", *rows, ",".join(junk)]) + "\n")
    if any(junk):
        with pytest.raises(SeriesError, match="line 14"):
            read_series(tmp_path / "x.csv")
    else:
        assert len(read_series(tmp_path / "x.csv")) == 12
