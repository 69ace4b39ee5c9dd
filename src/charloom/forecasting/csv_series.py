"""Reading a series from a CSV file: a column of numbers, and a column of dates if there are other columns.

``csv_table`` reads the cells; ``dates`` parses the dates.
"""

import functools
import math
import os
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from charloom.errors import Argument, SeriesError, SettingsError, pluralize
from charloom.forecasting.csv_table import Table, join_names, quote_cell, read_table
from charloom.forecasting.dates import parse_date, read_dates
from charloom.forecasting.series import Series, Values
from charloom.settings.forecasting import Missing, TableSettings
from charloom_codec.arguments import PATH, check_type
from charloom_codec.io.standard_streams import STANDARD_INPUT

_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "."}
_SEPARATOR_VARIANTS = str.maketrans("\u00a0\u2009\u202f\u2019", "   '")
"""Thousands separators that look like a space or an apostrophe."""
_EXACT_DIGITS = 15
"""Number of decimal digits that a float always holds."""
_MIN_CHANGE = 10**6
"""Minimum range of a column, in units of the rounding error of its numbers as floats."""
_MAYBE_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)


def read_series(
    file: str | os.PathLike[str],
    column: str | int | None = None,
    *,
    time: str | int | None = None,
    missing: Missing = "refuse",
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    date_format: str | None = None,
    header: bool | None = None,
    skip_rows: int = 0,
) -> Series:
    """Reads one column of a CSV file exactly, or refuses it.

    The defaults read plain numbers (-1234.5, 1e6) and ISO 8601 dates (2001-12-31, 2001-12, 2001, 2001-Q4, 2001-W52,
    20011231, 2001-12-31 23:30) between commas, under a header, in UTF-8 or UTF-16. Other notations must be specified.
    Nothing is inferred from the file, and no row is skipped except empty ones at its end. The arguments after the file
    are the fields of ``charloom.settings.TableSettings``.

    Args:
        file: CSV file, or ``-`` for standard input.
        column: Column to forecast: its header, or its number from 1.
        time: Column of dates: its header, or its number from 1; "none" if rows are evenly spaced without dates.
        missing: Handling of missing values: refuse or interpolate.
        delimiter: Character between columns, or tab.
        decimal: Decimal separator.
        thousands: Thousands separator.
        date_format: Format of the dates for ``strptime``.
        header: Whether the first row contains column names.
        skip_rows: Number of lines to skip before the header.

    Returns:
        The series, with its dates if there are any.

    Raises:
        SeriesError: The file cannot be read with these arguments, or the series cannot be forecast. The message has the
            line, its content, and the argument to pass.
        SettingsError: An argument is invalid, or names no column of the file.
        InputError: ``file`` is not a path.
    """
    settings = TableSettings(column, time, missing, delimiter, decimal, thousands, date_format, header, skip_rows)
    check_type(PATH, file=file)
    name = os.fsdecode(file)
    try:
        return _read(read_table(name, settings), settings)
    except SeriesError as error:
        raise SeriesError(f"{'standard input' if name == STANDARD_INPUT else name}: ", *error.parts) from None


def _read(table: Table, settings: TableSettings) -> Series:
    value_index, time_index = _choose_columns(table, settings)
    name, lines = table.names[value_index], table.lines
    if table.header_line and settings.header is None:
        # pandas writes an index of dates without a name: an empty header is not a value.
        for title in [name] if time_index is None or not table.names[time_index] else [name, table.names[time_index]]:
            if _may_be_value(title, settings.date_format):
                raise SeriesError(
                    f"line {table.header_line}: {quote_cell(title)} may be a value or the name of a column",
                    hint=("pass ", Argument("header", False), " or ", Argument("header", True)),
                )
    dates = None
    if time_index is not None:
        dates = read_dates(table.columns[time_index], lines, table.names[time_index], settings.date_format)
    values = read_numbers(table.columns[value_index], lines, name, settings, delimiter=table.delimiter)
    missing = np.isnan(values)
    if missing.any():
        _check_missing(missing, lines, name, settings)
        indices, known = np.arange(len(values)), values[~missing]
        values = np.interp(indices, indices[~missing], known)
        if np.all(known == np.rint(known)):  # counts stay integers
            values = np.rint(values)
    return Series(values, name if table.header_line else "value", dates, int(missing.sum()))


def _choose_columns(table: Table, settings: TableSettings) -> tuple[int, int | None]:
    """Returns the column indices of the values and of the dates, None if there are no dates."""
    value_index = None if settings.column is None else table.find(settings.column, "column")
    columns = range(len(table.names))
    time_index = None
    if settings.time is None and len(columns) > 1:
        time_index = next(column for column in columns if column != value_index)
    elif settings.time not in (None, "none"):
        time_index = table.find(settings.time, "time")
    if value_index is None:
        # If the dates are the only column, index 0 is theirs, which is refused below.
        value_index, *others = [column for column in columns if column != time_index] or [0]
        if others:
            raise SeriesError(
                f"the file has several columns ({join_names(table.names)})",
                hint=("choose one with ", Argument("column")),
            )
    if value_index == time_index:
        raise SettingsError("it is also the column to forecast", setting="time", value=settings.time)
    return value_index, time_index


def _may_be_value(name: str, date_format: str | None) -> bool:
    """Returns True if the name may be a number, a date or a missing value, in any notation."""
    first = next((char for char in name if char.isalnum()), "")
    word = "".join(char for char in name.lower() if char.isalpha())
    return (
        not first.isalpha()
        or is_missing(word)
        or word in ("inf", "infinity", "nat")
        or (name.startswith("#") and name.endswith(("!", "?")))  # an error in a spreadsheet
        or (date_format is not None and parse_date(name, date_format) is not None)
    )


def _check_missing(missing: NDArray[np.bool_], lines: list[int], name: str, settings: TableSettings) -> None:
    """Raises SeriesError for missing values at either end, and for others if the settings refuse them."""
    gaps, known = np.flatnonzero(missing), np.flatnonzero(~missing)
    if not len(known):
        hint = ("choose another column with ", Argument("column"))
        raise SeriesError(f"column {quote_cell(name)} contains no values", hint=hint)
    for end, nearest, side in ((0, lines[known[0]], "before"), (-1, lines[known[-1]], "after")):
        if missing[end]:
            raise SeriesError(
                f"line {lines[end]}: no value in column {quote_cell(name)}, and none {side} line {nearest}",
                hint=f"delete the rows {side} line {nearest}; only gaps between other values can be interpolated",
            )
    if settings.missing == "refuse":
        raise SeriesError(
            f"line {lines[gaps[0]]}: no value in column {quote_cell(name)} (missing in {len(gaps)} "
            f"of {pluralize(len(missing), 'row')})",
            hint=("pass ", Argument("missing", "interpolate"), " to fill the gaps"),
        )


def is_missing(cell: str) -> bool:
    """Returns True if the cell marks a missing value."""
    return cell.lower() in _MISSING


def read_numbers(
    cells: Sequence[str], lines: Sequence[int], name: str, settings: TableSettings, *, delimiter: str
) -> Values:
    """Parses the numbers of a column. Returns (cells,), NaN for missing values.

    Raises SeriesError for a cell that is not a finite number, or not exactly one.
    """
    values = np.full(len(cells), math.nan)
    for index, cell in enumerate(cells):
        if is_missing(cell):
            continue
        value = parse_number(cell, settings.decimal, settings.thousands)
        if value is None:
            raise _make_number_error(cell, lines[index], name, settings, is_first=index == 0)
        # A zero with another digit in its mantissa is an underflow.
        if math.isinf(value) or (value == 0 and re.search("[1-9]", re.split("[eE]", cell)[0])):
            size = "large" if value else "small"
            raise SeriesError(
                f"line {lines[index]}: {quote_cell(cell)} in column {quote_cell(name)} is too {size} for a float"
            )
        values[index] = value
    _check_digits(cells, values, lines, name, settings)
    # A separator in the settings decides what the point means.
    if settings.decimal is None and settings.thousands is None:
        _check_grouping(cells, lines, name, delimiter)
    return values


def parse_number(cell: str, decimal: str | None, thousands: str | None) -> float | None:
    """Parses a number with these separators. Returns None if the cell is not such a number."""
    cell = cell.translate(_SEPARATOR_VARIANTS) if thousands else cell
    if not _compile_pattern(decimal or ".", thousands).fullmatch(cell):
        return None
    return float(_to_python_notation(cell, decimal, thousands))


def _to_python_notation(cell: str, decimal: str | None, thousands: str | None) -> str:
    """Converts a number to Python's notation."""
    cell = cell.translate(_SEPARATOR_VARIANTS).replace(thousands, "") if thousands else cell
    return cell.replace(decimal or ".", ".")


@functools.cache
def _compile_pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    # float() accepts more than files should: underscores, "infinity", digits of other scripts.
    point, integer = re.escape(decimal), r"\d+"
    if thousands is not None:
        sign = re.escape(thousands)
        # 1,234,567 and, in India, 12,34,567.
        integer = rf"(?:\d+|[1-9]\d{{0,2}}(?:{sign}\d{{3}})+|[1-9]\d?(?:{sign}\d\d)+{sign}\d{{3}})"
    return re.compile(rf"[+-]?(?:{integer}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _make_number_error(cell: str, line: int, name: str, settings: TableSettings, *, is_first: bool) -> SeriesError:
    # Two characters may look the same, as a hyphen and a minus sign do: give the name.
    strange = next((char for char in cell if not char.isascii()), None)
    named = f" (it contains the character {unicodedata.name(strange, ascii(strange))})" if strange else ""
    like = f"-1{settings.thousands or ''}234{settings.decimal or '.'}5 or 1e6"
    later = ("; if this line is the header, pass ", Argument("skip_rows", line - 1))
    return SeriesError(
        f"line {line}: {quote_cell(cell)}{named} in column {quote_cell(name)} is not a number like {like}",
        hint=(
            *("pass ", Argument("decimal"), " or ", Argument("thousands"), " if it has other separators, or "),
            *(Argument("delimiter"), " if it contains several columns"),
            *(later if is_first and settings.header is None else ()),
        ),
    )


def _check_digits(
    cells: Sequence[str], values: Values, lines: Sequence[int], name: str, settings: TableSettings
) -> None:
    """Raises SeriesError for numbers with more digits than a float can represent.

    Fractions are refused only if the rounding error is not small against the range of the column.
    """
    known = [index for index, cell in enumerate(cells) if not is_missing(cell)]
    # Decimal is slow, and most columns have short numbers.
    if all(len(cells[index]) <= _EXACT_DIGITS for index in known):
        return
    exact = {index: Decimal(_to_python_notation(cells[index], settings.decimal, settings.thousands)) for index in known}
    change = max(exact.values()) - min(exact.values())
    for index, number in exact.items():
        digits = len(number.normalize().as_tuple().digits)
        # A float that prints the same digits again holds the number.
        if Decimal(f"{values[index]:.{digits - 1}e}") == number:
            continue
        # Decimal converts a float without rounding.
        loss = abs(Decimal(values[index]) - number)
        # A long integer may be an identifier or a time stamp, of which each digit counts. A fraction may be a float:
        # databases write a third with twenty digits.
        if number == number.to_integral_value() or loss * _MIN_CHANGE > change > 0:
            raise SeriesError(
                f"line {lines[index]}: {quote_cell(cells[index])} in column {quote_cell(name)} has "
                "more digits than a float can represent",
                hint="subtract a constant from the column, or round it",
            )


def _check_grouping(cells: Sequence[str], lines: Sequence[int], name: str, delimiter: str) -> None:
    """Raises SeriesError if a point may be a decimal or a thousands separator.

    Examples are 998, 1.000, 1.002, and 1.000, 1.002 in a file with semicolons.
    """
    known = [index for index, cell in enumerate(cells) if not is_missing(cell)]
    pointed = [index for index in known if "." in cells[index]]
    # A program writes three decimals in every row, or 1.000 as 1 or 1.0. A delimiter other than a comma suggests a
    # country whose decimal separator is the comma.
    if not pointed or (delimiter == "," and pointed == known):
        return
    if all(_MAYBE_GROUPED.fullmatch(cells[index]) for index in pointed):
        cell = cells[pointed[0]]
        raise SeriesError(
            f"line {lines[pointed[0]]}: {quote_cell(cell)} in column {quote_cell(name)} may be {float(cell):g} or "
            f"{cell.replace('.', '')}",
            hint=(
                *("pass ", Argument("decimal", "."), ", or "),
                *(Argument("decimal", ","), " and ", Argument("thousands", ".")),
            ),
        )
