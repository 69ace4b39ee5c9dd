"""The cells of a column as numbers: in one notation, which is given and not guessed."""

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from charloom.errors import Argument, Part, SeriesError
from charloom.forecasting.csv_table import later_header, shown
from charloom.forecasting.series import Values
from charloom.settings.forecasting import DECIMALS, THOUSANDS, TableSettings

_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "."}
_ALIKE = {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}
"""Signs between thousands that look the same."""
_EXACT_DIGITS = 15
"""Floats hold any number of so many digits."""
_LEAST_CHANGE = 10**6
"""The least change of a column, in what floats lose of its numbers."""
_PLAIN = "numbers are written like -1234.5 or 1e6, without units or other signs"
_MAYBE_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)


def is_missing(cell: str) -> bool:
    """Whether it says that there is no value."""
    return cell.lower() in _MISSING


def read_numbers(
    cells: Sequence[str], lines: Sequence[int], name: str, settings: TableSettings, *, delimiter: str
) -> Values:
    """A column's numbers, NaN for missing ones: (cells,).

    Args:
        cells: The column.
        lines: The line of each cell in its file, for messages.
        name: The column's, for messages.
        settings: The notation.
        delimiter: What stands between columns.

    Raises SeriesError, with the line, for a cell that is not a finite number in this notation, and for a column of
    numbers that may have a point between thousands if no decimal sign is given.
    """
    values = np.full(len(cells), math.nan)
    for place, cell in enumerate(cells):
        if is_missing(cell):
            continue
        value = parse_number(cell, settings.decimal, settings.thousands)
        if value is None:
            raise _not_a_number(cells, place, lines[place], name, settings)
        if math.isinf(value):
            raise SeriesError(f"line {lines[place]}: {shown(cell)} in column {shown(name)} is too large for a float")
        if value == 0 and re.search("[1-9]", re.split("[eE]", cell)[0]):
            raise SeriesError(f"line {lines[place]}: {shown(cell)} in column {shown(name)} is too small for a float")
        values[place] = value
    _check_digits(cells, values, lines, name, settings)
    if settings.decimal is None and settings.thousands is None:
        _check_points(cells, lines, name, delimiter)
    return values


def _check_digits(
    cells: Sequence[str], values: Values, lines: Sequence[int], name: str, settings: TableSettings
) -> None:
    """Refuses numbers with more digits than a float holds: whole ones, and others if the column changes by little more.

    Others are usual: a database writes a third with twenty digits.
    """
    known = [place for place, cell in enumerate(cells) if not is_missing(cell)]
    if all(len(cells[place]) <= _EXACT_DIGITS for place in known):
        return
    exact = {place: Decimal(_plain(cells[place], settings.decimal or ".", settings.thousands)) for place in known}
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


def parse_number(cell: str, decimal: str | None, thousands: str | None) -> float | None:
    """The number that a cell is with these signs; None if it is none."""
    decimal = decimal or "."
    return float(_plain(cell, decimal, thousands)) if _pattern(decimal, thousands).fullmatch(cell) else None


def _plain(cell: str, decimal: str, thousands: str | None) -> str:
    """A number as Python writes it."""
    if thousands is not None:
        cell = re.sub(_ALIKE.get(thousands, re.escape(thousands)), "", cell)
    return cell.replace(decimal, ".")


@functools.cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    point, whole = re.escape(decimal), r"\d+"
    if thousands is not None:
        sign = _ALIKE.get(thousands, re.escape(thousands))
        # 1,234,567 and, in India, 12,34,567. The first sign must be all others', so that 1 234'567 is none.
        whole = rf"(?:\d+|[1-9]\d{{0,2}}(?P<sign>{sign})\d{{3}}(?:(?P=sign)\d{{3}})*"
        whole += rf"|[1-9]\d?(?P<lakh>{sign})\d\d(?:(?P=lakh)\d\d)*(?P=lakh)\d{{3}})"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _not_a_number(cells: Sequence[str], place: int, line: int, name: str, settings: TableSettings) -> SeriesError:
    cell = cells[place]
    strange = next((char for char in cell if not char.isascii()), None)
    named = f" (it has a {unicodedata.name(strange, 'strange character')})" if strange else ""
    signs = [Argument(option, sign) for option in ("decimal", "thousands") if (sign := getattr(settings, option))]
    kind: tuple[Part, ...] = ("a number with ", *_joined(signs)) if signs else ("a plain number",)
    ways = _notations([other for other in cells if not is_missing(other)]) or _notations([cell])
    hint: list[Part] = []
    for decimal, thousands in ways:
        hint += [", or give " if hint else "give "]
        hint += _joined(
            [
                *([Argument("decimal", decimal)] if decimal != "." or settings.decimal == "," else []),
                *([Argument("thousands", thousands)] if thousands else []),
            ]
        )
        if len(ways) > 1:
            hint.append(f" if it is {parse_number(cell, decimal, thousands):.15g}")
    return SeriesError(
        f"line {line}: {shown(cell)}{named} in column {shown(name)} is not ",
        *kind,
        hint=(*(hint or [_PLAIN]), *(later_header(line) if place == 0 and settings.header is None else ())),
    )


def _notations(cells: Sequence[str]) -> list[tuple[str, str | None]]:
    """Decimal and thousands signs with which all these cells are numbers, for a hint; none that is not there."""
    return [
        (decimal, thousands)
        for decimal in DECIMALS
        for thousands in (None, *THOUSANDS)
        if decimal != thousands
        and (decimal == "." or any(decimal in cell for cell in cells))
        and (thousands is None or any(re.search(_ALIKE.get(thousands, re.escape(thousands)), cell) for cell in cells))
        and all(parse_number(cell, decimal, thousands) is not None for cell in cells)
    ]


def _joined(arguments: Sequence[Part]) -> list[Part]:
    return [part for argument in arguments for part in (" and ", argument)][1:]


def _check_points(cells: Sequence[str], lines: Sequence[int], name: str, delimiter: str) -> None:
    """Refuses 998, 1.000, 1.002, and 1.000, 1.002 beside semicolons: a point may be a decimal or a thousands sign.

    A program that writes numbers as they are has 1 or 1.0 for 1.000, and one that writes three decimals has them in
    every row.
    """
    pointed = [place for place, cell in enumerate(cells) if "." in cell and not is_missing(cell)]
    if not pointed or not all(_MAYBE_GROUPED.fullmatch(cells[place]) for place in pointed):
        return
    if delimiter != "," or any("." not in cell and not is_missing(cell) for cell in cells):
        cell = cells[pointed[0]]
        raise SeriesError(
            f"line {lines[pointed[0]]}: {shown(cell)} in column {shown(name)} may be {float(cell):g} or "
            f"{cell.replace('.', '')}",
            hint=(
                "give ",
                Argument("decimal", "."),
                ", or ",
                Argument("decimal", ","),
                " and ",
                Argument("thousands", "."),
            ),
        )
