"""Reading a series from a table in a text file (CSV): one column of numbers, and one of dates if there are several."""

import os

import numpy as np
from numpy.typing import NDArray

from charloom.arguments import PATH, check_type
from charloom.errors import Argument, SeriesError, SettingsError, counted
from charloom.forecasting.cells import is_missing, read_numbers
from charloom.forecasting.csv_table import STANDARD_INPUT, Table, listed, read_table, shown
from charloom.forecasting.dates import parse_date, read_dates
from charloom.forecasting.series import Series, Values
from charloom.settings.forecasting import Missing, TableSettings

_NO_DATES = "none"


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

    Returns:
        The series, with its dates if it has any.

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
        values = _interpolated(values, missing)
    return Series(values, name if table.header_line else "value", dates, int(missing.sum()))


def _choose(table: Table, settings: TableSettings) -> tuple[int, int | None]:
    """The places of the series and of its dates."""
    chosen = None if settings.column is None else table.find(settings.column, "column")
    places = range(len(table.names))
    at = None
    if settings.time is None and len(places) > 1:
        at = next(place for place in places if place != chosen)
    elif settings.time not in (None, _NO_DATES):
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
            f"line {lines[gaps[0]]}: no value in column {shown(name)} ({len(gaps)} of {counted(len(missing), 'row')} "
            f"{'is' if len(gaps) == 1 else 'are'} missing)",
            hint=(Argument("missing", "interpolate"), " fills them"),
        )


def _interpolated(values: Values, missing: NDArray[np.bool_]) -> Values:
    """Straight lines over inner gaps, rounded between whole numbers only."""
    places = np.arange(len(values))
    filled = np.interp(places, places[~missing], values[~missing])
    # Counts stay counts.
    return np.rint(filled) if np.all(values[~missing] == np.rint(values[~missing])) else filled
