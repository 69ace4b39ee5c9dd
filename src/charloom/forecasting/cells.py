"""The cells of a table as numbers, their decimals after a point or after a comma."""

import math
import re
from collections.abc import Sequence

import numpy as np

from charloom.errors import SeriesError
from charloom.forecasting.series import Values

_LONGEST_SHOWN = 40

_MISSING = {"", "na", "nan", "n/a", "null", "none", ".", "-", "?"}
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,]\d{3})+([.,]\d+)?", re.ASCII)
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)
_COUNTED = 3
"""Fewer whole numbers may be evenly spaced by chance."""


def is_number(cell: str) -> bool:
    """Whether it is one as Python writes them."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.lower() != "nan"


def is_missing(cell: str) -> bool:
    """Whether it says that there is no value."""
    return cell.lower() in _MISSING


def resembles_number(cell: str) -> bool:
    """Whether people somewhere write numbers like this: with decimal commas, with marks between thousands."""
    return is_number(cell) or bool(_DECIMAL_COMMA.fullmatch(cell) or _GROUPED.fullmatch(cell))


def counts_up(cells: Sequence[str]) -> bool:
    """Whether these are whole numbers of one distance, as the numbers of rows or years are."""
    if len(cells) < _COUNTED or not all(_WHOLE.fullmatch(cell) for cell in cells):
        return False
    numbers = np.array([int(cell) for cell in cells])
    steps = np.diff(numbers)
    return bool(steps[0] > 0 and np.all(steps == steps[0]))


def read_numbers(cells: Sequence[str], lines: Sequence[int], *, delimiter: str) -> Values:
    """A column's numbers, NaN where there is none: (cells,).

    lines: The line of each in its file, for messages. delimiter: What stands between columns; where it is no comma,
    decimals may stand after one, in the whole column or nowhere. Raises SeriesError for what is no number, or may be
    either of two.
    """
    if delimiter != ",":
        cells = _with_points(cells, lines, delimiter)
    return np.array([_number(cell, line) for cell, line in zip(cells, lines, strict=True)], dtype=np.float64)


def _with_points(cells: Sequence[str], lines: Sequence[int], delimiter: str) -> Sequence[str]:
    """The cells with their decimal commas as points, where there are any."""
    with_comma = [i for i, cell in enumerate(cells) if _DECIMAL_COMMA.fullmatch(cell)]
    if not with_comma:
        return cells
    first = with_comma[0]
    for i, cell in enumerate(cells):
        if "." in cell and resembles_number(cell):
            raise SeriesError(
                f"line {lines[i]}: {shown(cell)} has a point, and {shown(cells[first])} in line {lines[first]} a "
                "comma: write decimals with a point in the whole column"
            )
    # Semicolons are there where commas are taken, by decimals; but 950 beside 1,020 looks like thousands all the same.
    decimals = delimiter == ";" and all("," in cell or is_missing(cell) for cell in cells)
    if not decimals and all(_PERHAPS_THOUSANDS.fullmatch(cells[i]) for i in with_comma):
        cell = cells[first]
        raise SeriesError(
            f"line {lines[first]}: {shown(cell)} may be {cell.replace(',', '.')} or {cell.replace(',', '')}: "
            "write decimals with a point, and thousands without a mark"
        )
    return [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]


def _number(cell: str, line: int) -> float:
    if is_missing(cell):
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        marks = ", and thousands without a mark" if _GROUPED.fullmatch(cell) else ""
        hint = f" (write decimals with a point{marks})" if resembles_number(cell) else ""
        raise SeriesError(f"line {line}: {shown(cell)} is not a number{hint}") from None
    if math.isinf(value):
        raise SeriesError(f"line {line}: {shown(cell)} is not a finite number")
    return value


def shown(cell: str) -> str:
    """A cell in quotes, its end left out where it is long."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else cell[:_LONGEST_SHOWN] + "...")
