"""Reading a series from a table in a text file (CSV): one column of numbers, and one of dates if there are several."""

import functools
import math
import os
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from charloom.arguments import PATH, check_type
from charloom.errors import Argument, SeriesError, SettingsError, pluralize
from charloom.forecasting.csv_table import STANDARD_INPUT, Table, listed, read_table, shown
from charloom.forecasting.dates import parse_date, read_dates
from charloom.forecasting.series import Series, Values
from charloom.settings.forecasting import Missing, TableSettings

_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "."}
_ALIKE = str.maketrans("\u00a0\u2009\u202f\u2019", "   '")
"""Signs between thousands that look like a space or an apostrophe."""
_EXACT_DIGITS = 15
"""Floats hold any number of so many digits."""
_MIN_CHANGE = 10**6
"""The least change of a column, in what floats lose of its numbers."""
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
    """Reads one column of a CSV file, as it is written or not at all.

    The defaults read plain numbers (-1234.5, 1e6) and ISO 8601 dates (2001-12-31, 2001-12, 2001, 2001-Q4, 2001-W52,
    20011231, 2001-12-31 23:30) between commas, under a header, in UTF-8 or UTF-16. Other notations must be given.
    Nothing is inferred from the file, and no row is left out but empty ones at its end. ``-`` is standard input; the
    arguments after the file are the fields of ``charloom.settings.TableSettings``.

    Raises:
        SeriesError: The file cannot be read this way, or the series cannot be forecast. The message has the line, what
            was found there, and the argument to give.
        SettingsError: An argument is impossible, or names no column of the file.
        InputError: The file is no path.
    """
    settings = TableSettings(column, time, missing, delimiter, decimal, thousands, date_format, header, skip_rows)
    check_type(PATH, file=file)
    name = os.fsdecode(file)
    try:
        return _read(read_table(name, settings), settings)
    except SeriesError as error:
        raise SeriesError(f"{'standard input' if name == STANDARD_INPUT else name}: ", *error.parts) from None


def _read(table: Table, settings: TableSettings) -> Series:
    chosen, at = _choose(table, settings)
    name, lines = table.names[chosen], table.lines
    if table.header_line and settings.header is None:
        # The first column of a table that pandas writes is dates without a name.
        for title in [name] if at is None or not table.names[at] else [name, table.names[at]]:
            if _may_be_value(title, settings.date_format):
                raise SeriesError(
                    f"line {table.header_line}: {shown(title)} may be a value or the name of a column",
                    hint=("give ", Argument("header", False), " or ", Argument("header", True)),
                )
    dates = None
    if at is not None:
        dates = read_dates(table.columns[at], lines, table.names[at], settings.date_format)
    values = read_numbers(table.columns[chosen], lines, name, settings, delimiter=table.delimiter)
    missing = np.isnan(values)
    if missing.any():
        _check_missing(missing, lines, name, settings)
        places, known = np.arange(len(values)), values[~missing]
        values = np.interp(places, places[~missing], known)
        if np.all(known == np.rint(known)):  # counts stay counts
            values = np.rint(values)
    return Series(values, name if table.header_line else "value", dates, int(missing.sum()))


def _choose(table: Table, settings: TableSettings) -> tuple[int, int | None]:
    """The places of the series and of its dates."""
    chosen = None if settings.column is None else table.find(settings.column, "column")
    places = range(len(table.names))
    at = None
    if settings.time is None and len(places) > 1:
        at = next(place for place in places if place != chosen)
    elif settings.time not in (None, "none"):
        at = table.find(settings.time, "time")
    if chosen is None:
        chosen, *others = [place for place in places if place != at] or [0]
        if others:
            raise SeriesError(
                f"several columns ({listed(table.names)})", hint=("name the series with ", Argument("column"))
            )
    if chosen == at:
        raise SettingsError("that is the column of the series", setting="time", value=settings.time)
    return chosen, at


def _may_be_value(name: str, date_format: str | None) -> bool:
    """A number, a date or a missing value may be written like this, also if the settings have another notation."""
    first = next((char for char in name if char.isalnum()), "")
    word = "".join(char for char in name.lower() if char.isalpha())
    return (
        not first.isalpha()
        or is_missing(word)
        or word in ("inf", "infinity", "nat")
        or (name.startswith("#") and name.endswith(("!", "?")))  # as spreadsheets write errors
        or (date_format is not None and parse_date(name, date_format) is not None)
    )


def _check_missing(missing: NDArray[np.bool_], lines: list[int], name: str, settings: TableSettings) -> None:
    """Raises SeriesError for missing values that are not to be interpolated."""
    gaps, known = np.flatnonzero(missing), np.flatnonzero(~missing)
    if not len(known):
        raise SeriesError(f"no value in column {shown(name)}")
    for end, nearest, side in ((0, lines[known[0]], "before"), (-1, lines[known[-1]], "after")):
        if missing[end]:
            raise SeriesError(
                f"line {lines[end]}: no value in column {shown(name)}, and none {side} line {nearest}",
                hint=f"delete the rows {side} line {nearest}; only values between others can be interpolated",
            )
    if settings.missing == "refuse":
        raise SeriesError(
            f"line {lines[gaps[0]]}: no value in column {shown(name)} ({len(gaps)} of {pluralize(len(missing), 'row')} "
            f"{'is' if len(gaps) == 1 else 'are'} missing)",
            hint=(Argument("missing", "interpolate"), " fills them"),
        )


def is_missing(cell: str) -> bool:
    """The cell says that there is no value."""
    return cell.lower() in _MISSING


def read_numbers(
    cells: Sequence[str], lines: Sequence[int], name: str, settings: TableSettings, *, delimiter: str
) -> Values:
    """A column's numbers, NaN for missing ones: (cells,). Lines and name are for messages.

    Raises SeriesError, with the line, for a cell that is not a finite number in this notation, and for a column of
    numbers that may have a point between thousands if no decimal sign is given.
    """
    values = np.full(len(cells), math.nan)
    for place, cell in enumerate(cells):
        if is_missing(cell):
            continue
        value = parse_number(cell, settings.decimal, settings.thousands)
        if value is None:
            raise _not_a_number(cell, lines[place], name, settings, is_first=place == 0)
        if math.isinf(value) or (value == 0 and re.search("[1-9]", re.split("[eE]", cell)[0])):
            size = "large" if value else "small"
            raise SeriesError(f"line {lines[place]}: {shown(cell)} in column {shown(name)} is too {size} for a float")
        values[place] = value
    _check_digits(cells, values, lines, name, settings)
    if settings.decimal is None and settings.thousands is None:
        _check_points(cells, lines, name, delimiter)
    return values


def parse_number(cell: str, decimal: str | None, thousands: str | None) -> float | None:
    """The number that a cell is with these signs; None if it is none."""
    cell = cell.translate(_ALIKE) if thousands else cell
    return float(_plain(cell, decimal, thousands)) if _pattern(decimal or ".", thousands).fullmatch(cell) else None


def _plain(cell: str, decimal: str | None, thousands: str | None) -> str:
    """A number as Python writes it."""
    cell = cell.translate(_ALIKE).replace(thousands, "") if thousands else cell
    return cell.replace(decimal or ".", ".")


@functools.cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    point, whole = re.escape(decimal), r"\d+"
    if thousands is not None:
        sign = re.escape(thousands)
        # 1,234,567 and, in India, 12,34,567.
        whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{sign}\d{{3}})+|[1-9]\d?(?:{sign}\d\d)+{sign}\d{{3}})"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _not_a_number(cell: str, line: int, name: str, settings: TableSettings, *, is_first: bool) -> SeriesError:
    strange = next((char for char in cell if not char.isascii()), None)
    named = f" (it has a {unicodedata.name(strange, 'strange character')})" if strange else ""
    like = f"-1{settings.thousands or ''}234{settings.decimal or '.'}5 or 1e6"
    later = ("; if this line is the header, give ", Argument("skip_rows", line - 1))
    return SeriesError(
        f"line {line}: {shown(cell)}{named} in column {shown(name)} is not a number like {like}",
        hint=(
            *("give ", Argument("decimal"), " or ", Argument("thousands"), " if it has other signs, "),
            *(Argument("delimiter"), " if it is several columns"),
            *(later if is_first and settings.header is None else ()),
        ),
    )


def _check_digits(
    cells: Sequence[str], values: Values, lines: Sequence[int], name: str, settings: TableSettings
) -> None:
    """Refuses numbers with more digits than a float holds: whole ones, and others if the column changes by little more.

    Others are usual: a database writes a third with twenty digits.
    """
    known = [place for place, cell in enumerate(cells) if not is_missing(cell)]
    if all(len(cells[place]) <= _EXACT_DIGITS for place in known):
        return
    exact = {place: Decimal(_plain(cells[place], settings.decimal, settings.thousands)) for place in known}
    change = max(exact.values()) - min(exact.values())
    for place, number in exact.items():
        digits = len(number.normalize().as_tuple().digits)
        if Decimal(f"{values[place]:.{digits - 1}e}") == number:
            continue
        loss = abs(Decimal(values[place]) - number)
        if number == number.to_integral_value() or loss * _MIN_CHANGE > change > 0:
            raise SeriesError(
                f"line {lines[place]}: {shown(cells[place])} in column {shown(name)}: more digits than a float holds",
                hint="subtract a constant from the column, or round it",
            )


def _check_points(cells: Sequence[str], lines: Sequence[int], name: str, delimiter: str) -> None:
    """Refuses 998, 1.000, 1.002, and 1.000, 1.002 beside semicolons: a point may be a decimal or a thousands sign.

    A program that writes numbers as they are has 1 or 1.0 for 1.000, and one that writes three decimals has them in
    every row.
    """
    known = [place for place, cell in enumerate(cells) if not is_missing(cell)]
    pointed = [place for place in known if "." in cells[place]]
    if not pointed or (delimiter == "," and pointed == known):
        return
    if all(_MAYBE_GROUPED.fullmatch(cells[place]) for place in pointed):
        cell = cells[pointed[0]]
        raise SeriesError(
            f"line {lines[pointed[0]]}: {shown(cell)} in column {shown(name)} may be {float(cell):g} or "
            f"{cell.replace('.', '')}",
            hint=(
                *("give ", Argument("decimal", "."), ", or "),
                *(Argument("decimal", ","), " and ", Argument("thousands", ".")),
            ),
        )
