"""The cells of a column as numbers: in one notation, which is given and not guessed."""

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from charloom.errors import Argument, Part, SeriesError
from charloom.forecasting.csv_table import shown
from charloom.forecasting.series import Values
from charloom.settings.forecasting import TableSettings

_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "."}
_ALIKE = str.maketrans("\u00a0\u2009\u202f\u2019", "   '")
"""Signs between thousands that look like a space or an apostrophe."""
_EXACT_DIGITS = 15
"""Floats hold any number of so many digits."""
_LEAST_CHANGE = 10**6
"""The least change of a column, in what floats lose of its numbers."""
_MAYBE_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)


def is_missing(cell: str) -> bool:
    """The cell says that there is no value."""
    return cell.lower() in _MISSING


def read_numbers(
    cells: Sequence[str], lines: Sequence[int], name: str, settings: TableSettings, *, delimiter: str
) -> Values:
    """A column's numbers, NaN for missing ones: (cells,).

    lines and name: For messages, the line of each cell in its file and the column's name.

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
    kind: tuple[Part, ...] = ("a plain number",)
    if signs := [Argument(option, sign) for option in ("decimal", "thousands") if (sign := getattr(settings, option))]:
        kind = ("a number with ", signs[0], *(part for sign in signs[1:] for part in (" and ", sign)))
    hint: tuple[Part, ...] = (
        *("numbers are written like -1234.5 or 1e6, without units; give ", Argument("decimal"), " or "),
        *(Argument("thousands"), " for other signs, ", Argument("delimiter"), " for other columns"),
    )
    if is_first and settings.header is None:
        hint += ("; if this line is the header, give ", Argument("skip_rows", line - 1))
    return SeriesError(f"line {line}: {shown(cell)}{named} in column {shown(name)} is not ", *kind, hint=hint)


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
        if number == number.to_integral_value() or loss * _LEAST_CHANGE > change > 0:
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
