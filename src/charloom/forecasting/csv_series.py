"""Reading a series from a table in a text file (CSV): one column of numbers, and one of dates where there is one."""

import csv
import io
import stat
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from charloom.errors import Argument, CharloomWarning, SeriesError
from charloom.forecasting.cells import counts_up, is_missing, read_numbers, resembles_number, shown
from charloom.forecasting.dates import Dates, NotSortedError, read_dates
from charloom.forecasting.series import Series, check_values, interpolate_missing
from charloom.wording import counted

STANDARD_INPUT = "-"
Missing: TypeAlias = Literal["refuse", "interpolate"]
_DELIMITERS = ";\t|,"
_LAST_YEAR = "2999"
"""What counts on beyond is no year."""
_LARGEST_BYTES = 2**30


@dataclass(frozen=True)
class _Table:
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    headed: bool
    delimiter: str

    def column(self, at: int) -> list[str]:
        """Its cells; empty ones where rows are too short."""
        return [row[at] if at < len(row) else "" for row in self.rows]


def read_series(
    file: str | Path, column: str | int | None = None, *, time: str | None = None, missing: Missing = "refuse"
) -> Series:
    """One column of a CSV file; comma, semicolon, tab or bar between the columns, a header or none.

    Decimals stand after a point; where columns are not separated by commas, after a comma in a whole column, too.

    Args:
        file: The file; ``-`` for standard input.
        column: Its header, or its number from 1; the only column of numbers where not given.
        time: The column with dates (2001-12-31, 2001-12, 2001, or with a time of day), which must be evenly spaced.
            Where not given, a column of dates is found, or a first one that counts up beside others; ``none`` ignores
            it.
        missing: What to do with empty values (NA, NaN, ...) between others: refuse them, or interpolate.

    Raises SeriesError, naming the line, for what cannot be read or forecast.
    """
    name = "standard input" if str(file) == STANDARD_INPUT else str(file)
    try:
        return _read(_parse(_text(file)), column, time, missing)
    except SeriesError as error:
        raise SeriesError(f"{name}: ", *error.parts) from None


def _read(table: _Table, column: str | int | None, time: str | None, missing: Missing) -> Series:
    wanted = None if column is None else _find(table, str(column), "column")
    if time is None:
        at = _find_times(table)
        at = None if at == wanted else at
    else:
        at = None if time == "none" else _find(table, time, "time")
    chosen = _only_numbers(table, at) if wanted is None else wanted
    cells = [_cell(row, chosen, len(table.names), line) for row, line in zip(table.rows, table.lines, strict=True)]
    values = read_numbers(cells, table.lines, delimiter=table.delimiter)
    filled = 0
    if len(gaps := np.flatnonzero(np.isnan(values))):
        if missing == "refuse":
            first = table.lines[gaps[0]]
            raise SeriesError(
                f"line {first}: no value in column {table.names[chosen]!r} ({len(gaps)} of {len(values)} "
                f"{'is' if len(gaps) == 1 else 'are'} missing): ",
                *(Argument("missing", "interpolate"), " fills them"),
            )
        values, filled = interpolate_missing(values)
    check_values(values)
    dates = None if at is None else _dates(table, at, required=time is not None)
    if at is not None and dates is None and wanted is None and counts_up(table.column(at)):
        told = f"column {shown(table.names[at])} only counts up: {shown(table.names[chosen])} is forecast"
        warnings.warn(f"{told}, and forecasts are numbered", CharloomWarning, stacklevel=4)
    return Series(values, table.names[chosen] if table.headed else "value", dates, filled)


def _text(file: str | Path) -> str:
    try:
        if str(file) == STANDARD_INPUT:
            data = sys.stdin.buffer.read(_LARGEST_BYTES + 1)
        else:
            if not str(file):
                raise SeriesError("the name of the file is empty")
            mode = Path(file).stat().st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                raise SeriesError("a device, not a file; use - for standard input")
            with Path(file).open("rb") as stream:
                data = stream.read(_LARGEST_BYTES + 1)
    except SeriesError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SeriesError(reason[:1].lower() + reason[1:]) from None
    if len(data) > _LARGEST_BYTES:
        raise SeriesError("larger than a gibibyte: cut it to its last points")
    if (place := data.find(b"\0")) >= 0:
        raise SeriesError(f"not a text file (a NUL byte at {place}): save the table as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SeriesError(f"line {line}: not UTF-8 (byte 0x{data[error.start]:02x}): save it as UTF-8") from None
    if not text.strip():
        raise SeriesError("empty; there is nothing to forecast")
    return text


def _parse(text: str) -> _Table:
    """Rows of cells; lines that are empty, or comments (``#``), are left out."""
    delimiter = _delimiter(text)
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) and not cells[0].startswith("#"):
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise SeriesError(f"line {reader.line_num}: not CSV ({error})") from None
    if not rows:
        raise SeriesError("no line with values; there is nothing to forecast")
    width = len(rows[0])
    headed = not any(resembles_number(cell) for cell in rows[0])
    if headed and len(rows) == 1:
        raise SeriesError(f"a header ({', '.join(shown(name) for name in rows[0][:20])}) and no rows under it")
    names = rows[0] if headed else [str(i + 1) for i in range(width)]
    if headed:
        rows, lines = rows[1:], lines[1:]
    return _Table(names, rows, lines, headed, delimiter)


def _delimiter(text: str) -> str:
    """What stands in most of the first lines. The csv module's sniffer takes letters for delimiters."""
    sample = [line for line in text.splitlines()[:50] if line.strip() and not line.lstrip().startswith("#")]
    counts = {mark: sum(mark in line for line in sample) for mark in _DELIMITERS}
    # A comma may be a decimal point where another mark is there too.
    return max(_DELIMITERS, key=lambda mark: (counts[mark], mark != ","))


def _find(table: _Table, wanted: str, what: str) -> int:
    if wanted in table.names:
        if table.names.count(wanted) > 1:
            raise SeriesError(f"{table.names.count(wanted)} columns are called {wanted!r}: give its number")
        return table.names.index(wanted)
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(table.names):
        return int(wanted) - 1
    known = ", ".join(shown(name) for name in table.names[:20])
    raise SeriesError(f"no {what} {shown(wanted)}: there are {known}; or give a number from 1 to {len(table.names)}")


def _only_numbers(table: _Table, time: int | None) -> int:
    """The one column whose cells are numbers, or are meant to be."""
    numeric = [i for i in range(len(table.names)) if i != time and _looks_numeric(table, i)]
    others = [i for i in range(len(table.names)) if i != time]
    if len(numeric) == 1:
        if time is None and len(others) > 1 and counts_up(table.column(numeric[0])):
            name = table.names[numeric[0]]
            raise SeriesError(
                f"no column of numbers but {shown(name)}, which only counts up: ",
                *(Argument("column", name), " takes it nevertheless"),
            )
        return numeric[0]
    if not numeric:
        if len(others) == 1:
            return others[0]  # what is wrong there is said of its line
        raise SeriesError(f"no column of numbers among {', '.join(shown(name) for name in table.names[:20])}")
    found = ", ".join(shown(table.names[i]) for i in numeric[:20])
    raise SeriesError(
        f"several columns of numbers ({found}): ", Argument("column", table.names[numeric[0]]), " takes the first"
    )


def _looks_numeric(table: _Table, at: int) -> bool:
    return all(at >= len(row) or resembles_number(row[at]) or is_missing(row[at]) for row in table.rows[:20])


def _find_times(table: _Table) -> int | None:
    """The first column that looks like dates in its first and last rows, and is no plain number but a year.

    Or a first column that counts up, beside others with numbers: years, or the numbers of rows.
    """
    for i, name in enumerate(table.names):
        cells = [row[i] if i < len(row) else "" for row in (*table.rows[:3], *table.rows[-3:])]
        plain = all(resembles_number(cell) for cell in cells)
        dated = not plain or name.lower() in ("year", "date", "time", "month", "day", "timestamp")
        if dated and len(table.names) > 1 and len(cells) > 1:
            try:
                found = read_dates(list(dict.fromkeys(cells)), [0] * len(cells))
            except SeriesError:
                return i
            if found is not None:
                return i
    beside = any(_looks_numeric(table, i) for i in range(1, len(table.names)))
    return 0 if beside and counts_up(table.column(0)) else None


def _dates(table: _Table, at: int, *, required: bool) -> Dates | None:
    labels = table.column(at)
    try:
        numbered = not required and len(labels[-1]) == len(_LAST_YEAR) and labels[-1] > _LAST_YEAR and counts_up(labels)
        dates = None if numbered else read_dates(labels, table.lines)
    except SeriesError as error:
        if required or isinstance(error, NotSortedError):
            raise
        warnings.warn(CharloomWarning(*error.parts, "; they are taken to be, and forecasts are numbered"), stacklevel=2)
        return None
    if dates is None and required:
        raise SeriesError(f"column {table.names[at]!r} has no dates such as 2001-12-31, 2001-12 or 2001")
    return dates


def _cell(row: list[str], column: int, width: int, line: int) -> str:
    if column >= len(row):
        raise SeriesError(f"line {line} has {counted(len(row), 'column')}, and column {column + 1} is asked for")
    if any(row[width:]):
        raise SeriesError(
            f"line {line} has {counted(len(row), 'column')}, and the first line {width} (decimals need a point)"
        )
    return row[column]
