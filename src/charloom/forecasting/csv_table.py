"""Decoding of a CSV file to columns of cells. No row is skipped, and no notation is inferred.

``csv_series`` selects and parses the columns of a series.
"""

import codecs
import csv
import io
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from charloom.errors import Argument, SeriesError, SettingsError, pluralize
from charloom.settings.forecasting import DELIMITER_NAMES, TableSettings
from charloom_codec.io.standard_streams import STANDARD_INPUT

_MAX_BYTES = 2**30
_MAX_SHOWN_CHARS = 40
_MAX_SHOWN_NAMES = 20


@dataclass(frozen=True)
class Table:
    """Table of cells.

    Attributes:
        names: Header of each column, or its number from 1 if there is no header.
        columns: Cells of each column, without surrounding spaces.
        lines: Line number in the file at which each row starts.
        header_line: Line number of the header; 0 if there is none.
        delimiter: Character between columns.
    """

    names: list[str]
    columns: list[list[str]]
    lines: list[int]
    header_line: int
    delimiter: str

    def find(self, wanted: str | int, option: str) -> int:
        """Returns the index of the column with this header or number from 1. Raises SettingsError for ``option``."""
        # A header wins over a number: a column may be named 2001.
        if (matches := self.names.count(str(wanted))) and isinstance(wanted, str):
            if matches > 1:
                raise SettingsError(
                    f"{matches} columns have this header; pass the column's number", setting=option, value=wanted
                )
            return self.names.index(wanted)
        numbers = [str(i + 1) for i in range(len(self.names))]
        if str(wanted) in numbers:
            return numbers.index(str(wanted))
        raise SettingsError(
            "the table has no such column",
            setting=option,
            value=wanted,
            hint=f"pass one of {join_names(self.names)}, or a number from 1 to {len(self.names)}",
        )


def quote_cell(cell: str) -> str:
    """Returns the cell in quotes, truncated if it is long."""
    return repr(cell if len(cell) <= _MAX_SHOWN_CHARS else cell[:_MAX_SHOWN_CHARS] + "...")


def join_names(names: Sequence[str]) -> str:
    """Joins column names for a message; names after the first 20 are omitted."""
    return ", ".join(map(quote_cell, names[:_MAX_SHOWN_NAMES])) + (", ..." if len(names) > _MAX_SHOWN_NAMES else "")


def read_table(file: str, settings: TableSettings) -> Table:
    """Reads the cells of a file, or of standard input (``-``). Raises SeriesError with the line of an invalid row."""
    # newline="" leaves line ends to the CSV reader: a quoted cell may contain some.
    stream = io.StringIO(_decode(_read_bytes(file)), newline="")
    for skipped in range(settings.skip_rows):
        if not stream.readline():
            raise SettingsError(
                f"the file has only {pluralize(skipped, 'line')}", setting="skip_rows", value=settings.skip_rows
            )
    delimiter = settings.delimiter or ("tab" if file.lower().endswith(".tsv") else ",")
    delimiter = DELIMITER_NAMES.get(delimiter, delimiter)
    # strict: a stray quote is an error, not a part of a cell.
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, lines = [], []
    line = settings.skip_rows + 1
    try:
        for row in reader:
            rows.append([cell.strip(" \t") for cell in row])
            lines.append(line)
            # A row with quoted line ends spans several lines.
            line = settings.skip_rows + reader.line_num + 1
    except csv.Error as error:
        raise SeriesError(f"line {line} is not valid CSV ({error})", hint="check the quotes") from None
    return _make_table(rows, lines, delimiter, settings)


def _read_bytes(file: str) -> bytes:
    if not file:
        raise SeriesError("the file name is empty")
    try:
        # A device such as /dev/zero never ends.
        if file != STANDARD_INPUT and (Path(file).is_char_device() or Path(file).is_block_device()):
            raise SeriesError("this is a device, not a file; pass a file, or - for standard input")
        with nullcontext(sys.stdin.buffer) if file == STANDARD_INPUT else Path(file).open("rb") as stream:
            # A byte beyond the limit shows that the file is too large, whatever its size.
            data = stream.read(_MAX_BYTES + 1)
    except SeriesError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SeriesError(reason[:1].lower() + reason[1:]) from None
    if len(data) > _MAX_BYTES:
        raise SeriesError("the file is larger than 1 GiB", hint="keep only the last points")
    return data


def _decode(data: bytes) -> str:
    """Decodes UTF-8, or UTF-16 if the data starts with its byte order mark."""
    encoding = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        # The UTF-16 codec consumes its byte order mark, the UTF-8 codec does not.
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise SeriesError(
            f"line {line} is not valid {encoding} (byte 0x{data[error.start]:02x})",
            hint="save the table as CSV in UTF-8",
        ) from None
    if (index := text.find("\0")) >= 0:
        raise SeriesError(f"not a text file (NUL character at position {index})", hint="save the table as CSV in UTF-8")
    if not text.strip():
        raise SeriesError("the file is empty; there is nothing to forecast")
    # The CSV module would read an empty row after each row.
    if "\r\r\n" in text:
        raise SeriesError("lines end in two carriage returns and a line feed", hint="write the file with newline=''")
    return text


def _make_table(rows: list[list[str]], lines: list[int], delimiter: str, settings: TableSettings) -> Table:
    """Makes the table from rows of equal width, without empty rows and columns at the end."""
    if not rows:
        raise SettingsError("no lines are left after the skipped ones", setting="skip_rows", value=settings.skip_rows)
    has_header, width, line = settings.header is not False, len(rows[0]), lines[0]
    skip_hint = ("pass ", Argument("skip_rows", line))
    if not width:
        raise SeriesError(f"line {line} is empty", hint=skip_hint)
    # Excel writes its delimiter into the first line.
    if rows[0][0].lower().startswith("sep="):
        raise SeriesError(
            f"line {line} declares the delimiter for Excel (sep=) and is not part of the table",
            hint=(*skip_hint, " and ", Argument("delimiter")),
        )
    # In a table of one column a quoted empty cell is a missing value: [""], while an empty line is [].
    while len(rows) > has_header and (not rows[-1] or (width > 1 and not any(rows[-1]))):
        rows.pop()
        lines.pop()
    if len(rows) == has_header:
        raise SeriesError(
            f"the header ({join_names(rows[0])}) has no rows below it" if has_header else "all rows are empty"
        )
    for index, row in enumerate(rows):
        if width == 1 and not row:  # an empty line between others
            rows[index] = [""]
        elif len(row) != width:
            raise _make_width_error(row, lines[index], width, lines[0])
    columns = [list(column) for column in zip(*rows, strict=True)]
    # Rows that all end with a delimiter have an empty last column.
    while has_header and len(columns) > 1 and not any(columns[-1]):
        columns.pop()
    names = [column[0] if has_header else str(index + 1) for index, column in enumerate(columns)]
    cells = [column[has_header:] for column in columns]
    return Table(names, cells, lines[has_header:], lines[0] if has_header else 0, delimiter)


def _make_width_error(row: list[str], line: int, width: int, first: int) -> SeriesError:
    if not row:
        return SeriesError(
            f"line {line} is empty", hint=("delete it or, if the header follows, pass ", Argument("skip_rows", line))
        )
    hint = (
        *(
            "pass ",
            Argument("delimiter"),
            " if a different character separates columns; a cell that contains the delimiter must be quoted",
        ),
        *("; if this line is the header, pass ", Argument("skip_rows", line - 1)),
    )
    return SeriesError(
        f"line {line} has {pluralize(len(row), 'column')}, but line {first} has {width}",
        hint=hint if len(row) > width else "delete the row if it is not part of the table",
    )
