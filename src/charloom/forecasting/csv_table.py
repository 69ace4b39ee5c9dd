"""A table in a text file (CSV): bytes to rows of cells. Each row counts, and none is guessed to be something else."""

import csv
import io
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charloom.errors import Argument, Part, SeriesError, SettingsError, counted
from charloom.settings.forecasting import DELIMITER_NAMES, TableSettings
from charloom.settings.limits import check_count

STANDARD_INPUT = "-"
_COMMON_DELIMITERS = {";": ";", "\t": "tab", "|": "|", ",": ","}
"""As an argument has them."""
_EXCEL_DELIMITER = re.compile(r'"?sep=(.?)"?\s*', re.IGNORECASE)
_LARGEST_BYTES = 2**30
_LONGEST_SHOWN = 40
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Table:
    """Cells of a table.

    Attributes:
        names: The header of each column, or its number from 1 if there is no header.
        rows: As many cells each as there are names; spaces around cells are left out.
        lines: The line in the file at which each row begins.
        header_line: The line of the header; 0 if there is none.
        delimiter: What stands between columns.
    """

    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    header_line: int
    delimiter: str

    def column(self, at: int) -> list[str]:
        """The cells of a column."""
        return [row[at] for row in self.rows]

    def find(self, wanted: str | int, option: str) -> int:
        """The place of the column of this header, or of this number from 1.

        Raises SettingsError if there is none, or several have the header. option: The argument that names the column.
        """
        if isinstance(wanted, str) and (matches := self.names.count(wanted)):
            if matches > 1:
                raise SettingsError(
                    f"{matches} columns have this header; give the number of one", setting=option, value=wanted
                )
            return self.names.index(wanted)
        if not isinstance(wanted, str):
            check_count(option, wanted, minimum=1)
        number = str(wanted)
        if number.isascii() and number.isdigit() and len(number) < 10 and 1 <= int(number) <= len(self.names):
            return int(number) - 1
        raise SettingsError(
            "there is no such column",
            setting=option,
            value=wanted,
            hint=("there are ", *listed(self.names), f"; or give a number from 1 to {len(self.names)}"),
        )


def shown(cell: str) -> str:
    """A cell in quotes, its end left out if it is long."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else cell[:_LONGEST_SHOWN] + "...")


def listed(names: Sequence[str]) -> tuple[str]:
    """The names of columns in a message."""
    more = ", ..." if len(names) > _MOST_SHOWN else ""
    return (", ".join(shown(name) for name in names[:_MOST_SHOWN]) + more,)


def read_table(file: str, settings: TableSettings) -> Table:
    """The cells of a file, or of standard input (``-``). Raises SeriesError with the line of what is no table."""
    text = _decode(_read_bytes(file))
    delimiter = settings.delimiter or ("tab" if file.lower().endswith(".tsv") else ",")
    delimiter = DELIMITER_NAMES.get(delimiter, delimiter)
    rows, lines = _split(text, delimiter, settings.skip_rows)
    return _check_rows(rows, lines, delimiter, settings)


def _read_bytes(file: str) -> bytes:
    try:
        if file == STANDARD_INPUT:
            data = sys.stdin.buffer.read(_LARGEST_BYTES + 1)
        else:
            if not file:
                raise SeriesError("the name of the file is empty")
            mode = Path(file).stat().st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                raise SeriesError("a device, not a file; use - for standard input")
            with Path(file).open("rb") as stream:
                data = stream.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, SeriesError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SeriesError(reason[:1].lower() + reason[1:]) from None
    if len(data) > _LARGEST_BYTES:
        raise SeriesError("larger than a gibibyte", hint="cut it to its last points")
    return data


def _decode(data: bytes) -> str:
    """The text of UTF-8, or of UTF-16 that says so in its first bytes."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise SeriesError(f"not UTF-16, as its first bytes say ({error.reason})") from None
        if (place := data.find(b"\0")) >= 0:
            raise SeriesError(_not_text(place)) from None
        line = data.count(b"\n", 0, error.start) + 1
        raise SeriesError(
            f"line {line}: not UTF-8 (byte 0x{data[error.start]:02x})", hint="save the table as CSV in UTF-8"
        ) from None
    if (place := text.find("\0")) >= 0:
        raise SeriesError(_not_text(place))
    if not text.strip():
        raise SeriesError("empty; there is nothing to forecast")
    if "\r\r\n" in text:
        raise SeriesError("lines end in two carriage returns and a line feed", hint="write the file with newline=''")
    return text


def _not_text(place: int) -> str:
    return f"not a text file (a NUL byte at {place}): save the table as CSV in UTF-8"


def _split(text: str, delimiter: str, skip_rows: int) -> tuple[list[list[str]], list[int]]:
    """Rows of cells, and the line at which each begins."""
    stream = io.StringIO(text, newline="")
    for line in range(skip_rows):
        if not stream.readline():
            raise SettingsError(f"there are {counted(line, 'line')}", setting="skip_rows", value=skip_rows)
    place = stream.tell()
    if found := _EXCEL_DELIMITER.fullmatch(stream.readline()):
        raise SeriesError(
            f"line {skip_rows + 1}: not part of the table but Excel's note of the delimiter",
            hint=(
                "give ",
                Argument("delimiter", _COMMON_DELIMITERS.get(found[1], ",")),
                " and ",
                Argument("skip_rows", skip_rows + 1),
            ),
        )
    stream.seek(place)
    rows, lines = [], []
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    line = skip_rows + 1
    try:
        for row in reader:
            rows.append([cell.strip(" \t") for cell in row])
            lines.append(line)
            line = skip_rows + reader.line_num + 1
    except csv.Error as error:
        raise SeriesError(f"line {line}: not CSV ({error})", hint="check the quotes") from None
    return rows, lines


def _check_rows(rows: list[list[str]], lines: list[int], delimiter: str, settings: TableSettings) -> Table:
    if not rows:
        raise SettingsError("no lines are left", setting="skip_rows", value=settings.skip_rows)
    headed = settings.header is not False
    width = len(rows[0])
    if not width:
        raise SeriesError(f"line {lines[0]} is empty", hint=("give ", Argument("skip_rows", settings.skip_rows + 1)))
    # Rows without any content at the end; but a column's quoted empty cell is a missing value.
    while len(rows) > headed and (not rows[-1] or (width > 1 and not any(rows[-1]))):
        rows.pop()
    if not rows:
        raise SeriesError("no row has a value; there is nothing to forecast")
    names = rows[0] if headed else [str(i + 1) for i in range(width)]
    if headed and len(rows) == 1:
        raise SeriesError("a header (", *listed(names), ") and no rows under it")
    del lines[len(rows) :]
    for place, (row, line) in enumerate(zip(rows, lines, strict=True)):
        if width == 1 and not row:
            rows[place] = [""]
        elif not row:
            raise SeriesError(
                f"line {line} is empty", hint=("delete it, or if the header follows give ", Argument("skip_rows", line))
            )
        elif len(row) != width:
            raise SeriesError(
                f"line {line} has {counted(len(row), 'column')}, and line {lines[0]} {width}",
                hint=_width_hint(rows[0], row, line, delimiter),
            )
        elif width == 1 and place == 1 and (mark := _other_delimiter(rows[0], delimiter)) and mark in row[0]:
            raise SeriesError(
                f"line {line}: {shown(row[0])} is one column",
                hint=("give ", Argument("delimiter", _COMMON_DELIMITERS[mark])),
            )
    while width > 1 and headed and not any(row[width - 1] for row in rows):
        width -= 1
    rows = [row[:width] for row in rows]
    first = int(headed)
    return Table(names[:width], rows[first:], lines[first:], lines[0] if headed else 0, delimiter)


def _width_hint(first: list[str], row: list[str], line: int, delimiter: str) -> tuple[Part, ...]:
    if mark := _other_delimiter(first, delimiter):
        return ("give ", Argument("delimiter", _COMMON_DELIMITERS[mark]))
    if len(first) < len(row):
        return ("a cell that has the delimiter in it needs quotes", *later_header(line))
    return ("delete the row if it is not part of the table",)


def later_header(line: int) -> tuple[Part, ...]:
    """The end of a hint about one of the first lines."""
    return ("; if this line is the header, give ", Argument("skip_rows", line - 1))


def _other_delimiter(first: list[str], delimiter: str) -> str | None:
    if len(first) > 1:
        return None
    return next((mark for mark in _COMMON_DELIMITERS if mark != delimiter and mark in first[0]), None)
