"""A table in a text file (CSV): bytes to columns of cells. Each row counts, none is guessed to be something else."""

import codecs
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charloom.errors import Argument, SeriesError, SettingsError, pluralize
from charloom.settings.forecasting import DELIMITER_NAMES, TableSettings

STANDARD_INPUT = "-"
_MAX_BYTES = 2**30
_MAX_SHOWN_CHARS = 40
_MAX_SHOWN_NAMES = 20


@dataclass(frozen=True)
class Table:
    """Cells of a table.

    Attributes:
        names: The header of each column, or its number from 1 if there is no header.
        columns: The cells of each column, without spaces around them.
        lines: The line in the file at which each row begins.
        header_line: The line of the header; 0 if there is none.
        delimiter: The character between columns.
    """

    names: list[str]
    columns: list[list[str]]
    lines: list[int]
    header_line: int
    delimiter: str

    def find(self, wanted: str | int, option: str) -> int:
        """The place of the column of this header, or this number from 1. Raises SettingsError, naming the option."""
        if (matches := self.names.count(str(wanted))) and isinstance(wanted, str):
            if matches > 1:
                raise SettingsError(
                    f"{matches} columns have this header; give the number of one", setting=option, value=wanted
                )
            return self.names.index(wanted)
        numbers = [str(i + 1) for i in range(len(self.names))]
        if str(wanted) in numbers:
            return numbers.index(str(wanted))
        raise SettingsError(
            "there is no such column",
            setting=option,
            value=wanted,
            hint=f"there are {listed(self.names)}; or give a number from 1 to {len(self.names)}",
        )


def shown(cell: str) -> str:
    """A cell in quotes, its end left out if it is long."""
    return repr(cell if len(cell) <= _MAX_SHOWN_CHARS else cell[:_MAX_SHOWN_CHARS] + "...")


def listed(names: Sequence[str]) -> str:
    """The names of columns in a message."""
    return ", ".join(map(shown, names[:_MAX_SHOWN_NAMES])) + (", ..." if len(names) > _MAX_SHOWN_NAMES else "")


def read_table(file: str, settings: TableSettings) -> Table:
    """The cells of a file, or of standard input (``-``). Raises SeriesError with the line of what is no table."""
    stream = io.StringIO(_decode(_read_bytes(file)), newline="")
    for skipped in range(settings.skip_rows):
        if not stream.readline():
            raise SettingsError(
                f"there are {pluralize(skipped, 'line')}", setting="skip_rows", value=settings.skip_rows
            )
    delimiter = settings.delimiter or ("tab" if file.lower().endswith(".tsv") else ",")
    delimiter = DELIMITER_NAMES.get(delimiter, delimiter)
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, lines = [], []
    line = settings.skip_rows + 1
    try:
        for row in reader:
            rows.append([cell.strip(" \t") for cell in row])
            lines.append(line)
            line = settings.skip_rows + reader.line_num + 1
    except csv.Error as error:
        raise SeriesError(f"line {line}: not CSV ({error})", hint="check the quotes") from None
    return _make_table(rows, lines, delimiter, settings)


def _read_bytes(file: str) -> bytes:
    if not file:
        raise SeriesError("the name of the file is empty")
    if file != STANDARD_INPUT and (Path(file).is_char_device() or Path(file).is_block_device()):
        raise SeriesError("a device, not a file; use - for standard input")
    try:
        if file == STANDARD_INPUT:
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SeriesError(reason[:1].lower() + reason[1:]) from None
    if len(data) > _MAX_BYTES:
        raise SeriesError("larger than a gibibyte", hint="cut it to its last points")
    return data


def _decode(data: bytes) -> str:
    """The text of UTF-8, or of UTF-16 that says so in its first bytes."""
    encoding = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise SeriesError(
            f"line {line}: not {encoding} (byte 0x{data[error.start]:02x})", hint="save the table as CSV in UTF-8"
        ) from None
    if (place := text.find("\0")) >= 0:
        raise SeriesError(f"not a text file (a NUL byte at {place})", hint="save the table as CSV in UTF-8")
    if not text.strip():
        raise SeriesError("empty; there is nothing to forecast")
    if "\r\r\n" in text:
        raise SeriesError("lines end in two carriage returns and a line feed", hint="write the file with newline=''")
    return text


def _make_table(rows: list[list[str]], lines: list[int], delimiter: str, settings: TableSettings) -> Table:
    """The columns of rows that are all as wide as the first; rows and columns without content at the end left out."""
    if not rows:
        raise SettingsError("no lines are left", setting="skip_rows", value=settings.skip_rows)
    headed, width, line = settings.header is not False, len(rows[0]), lines[0]
    skip_it = ("give ", Argument("skip_rows", line))
    if not width:
        raise SeriesError(f"line {line} is empty", hint=skip_it)
    if rows[0][0].lower().startswith("sep="):
        raise SeriesError(
            f"line {line}: not part of the table but Excel's note of the delimiter",
            hint=(*skip_it, " and ", Argument("delimiter")),
        )
    # A column's quoted empty cell is a missing value.
    while len(rows) > headed and (not rows[-1] or (width > 1 and not any(rows[-1]))):
        rows.pop()
        lines.pop()
    if len(rows) == headed:
        raise SeriesError(f"a header ({listed(rows[0])}) and no rows under it" if headed else "no row has a value")
    for place, row in enumerate(rows):
        if width == 1 and not row:
            rows[place] = [""]
        elif len(row) != width:
            raise _uneven(row, lines[place], width, lines[0])
    columns = [list(column) for column in zip(*rows, strict=True)]
    while headed and len(columns) > 1 and not any(columns[-1]):
        columns.pop()
    names = [column[0] if headed else str(place + 1) for place, column in enumerate(columns)]
    cells = [column[headed:] for column in columns]
    return Table(names, cells, lines[headed:], lines[0] if headed else 0, delimiter)


def _uneven(row: list[str], line: int, width: int, first: int) -> SeriesError:
    if not row:
        return SeriesError(
            f"line {line} is empty", hint=("delete it, or if the header follows give ", Argument("skip_rows", line))
        )
    hint = (
        *("give ", Argument("delimiter"), " if another character is between columns; a cell that has it needs quotes"),
        *("; if this line is the header, give ", Argument("skip_rows", line - 1)),
    )
    return SeriesError(
        f"line {line} has {pluralize(len(row), 'column')}, and line {first} {width}",
        hint=hint if len(row) > width else "delete the row if it is not part of the table",
    )
