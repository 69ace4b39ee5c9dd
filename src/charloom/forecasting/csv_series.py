"""Reading a series from a table in a text file (CSV): one column of numbers, and one of dates if there are several."""

import os

import numpy as np

from charloom.arguments import PATH, check_type
from charloom.errors import Argument, SeriesError, SettingsError, counted
from charloom.forecasting.cells import is_missing, read_numbers
from charloom.forecasting.csv_table import STANDARD_INPUT, Table, listed, read_table, shown
from charloom.forecasting.dates import common_formats, parse_date, read_dates
from charloom.forecasting.series import Series, Values, interpolate_missing
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
    Nothing is inferred from the file, and no row is left out but empty ones at its end.

    Args:
        file: The file; ``-`` for standard input.
        column: The header of the column, or its number from 1. Default: the only one beside the dates.
        time: The column of dates, which must be evenly spaced, the oldest first. Default: the first column that is not
            the series; none if there is only one column. ``none`` takes the rows in the order of the file as evenly
            spaced, the oldest first.
        missing: What to do with missing values between others: ``refuse``, or ``interpolate``, by whole numbers if
            all others are. A value is missing if its cell is empty, NA, N/A, NaN, null, none or a lone point. At either
            end they are always refused.
        delimiter: The character between columns, or ``tab``. Default: a comma; a tab if the name ends in .tsv.
        decimal: The decimal sign, ``.`` or ``,``. Default: a point.
        thousands: The sign between thousands: ``,``, ``.``, ``'`` or a space. Default: none.
        date_format: Format of the dates in the codes of ``strptime``, as ``%d.%m.%Y``. Default: ISO 8601. Later dates
            are written as ``strftime`` writes them: 09/02/2023 after 9/1/2023.
        header: Whether the first row has the names of the columns. Default: it has, and is refused if it could be
            values.
        skip_rows: Lines before the header that are not part of the table.

    Returns:
        The series, with its dates if it has any.

    Raises:
        SeriesError: The file cannot be read this way, or the series cannot be forecast. The message has the line, what
            was found there, and the argument to give.
        SettingsError: An argument is impossible, or names no column of the file.
        InputError: An argument is of another type.
    """
    settings = TableSettings(missing, delimiter, decimal, thousands, date_format, header, skip_rows)
    check_type(PATH, file=file)
    check_type((str, int, type(None)), column=column, time=time)
    name = os.fsdecode(file)
    try:
        return _read(read_table(name, settings), column, time, settings)
    except SeriesError as error:
        raise SeriesError(f"{'standard input' if name == STANDARD_INPUT else name}: ", *error.parts) from None


def _read(table: Table, column: str | int | None, time: str | int | None, settings: TableSettings) -> Series:
    chosen, at = _choose(table, column, time)
    _check_header(table, chosen, at, settings)
    name = table.names[chosen]
    dates = None
    if at is not None:
        dates = read_dates(table.column(at), table.lines, table.names[at], settings.date_format)
    values = read_numbers(table.column(chosen), table.lines, name, settings, delimiter=table.delimiter)
    _check_missing(values, table, chosen, settings)
    values, filled = interpolate_missing(values)
    return Series(values, name if table.header_line else "value", dates, filled)


def _choose(table: Table, column: str | int | None, time: str | int | None) -> tuple[int, int | None]:
    """The places of the series and of its dates."""
    chosen = None if column is None else table.find(column, "column")
    places = range(len(table.names))
    if time == _NO_DATES:
        at = None
    elif time is not None:
        at = table.find(time, "time")
    else:
        at = next((place for place in places if place != chosen), None) if len(places) > 1 else None
    if chosen is None:
        others = [place for place in places if place != at]
        if len(others) != 1:
            raise SeriesError(
                *("several columns (", *listed(table.names), ")"),
                hint=("name the series with ", Argument("column")),
            )
        chosen = others[0]
    if chosen == at:
        raise SettingsError("that is the column of the series", setting="time", value=time)
    return chosen, at


def _check_header(table: Table, chosen: int, at: int | None, settings: TableSettings) -> None:
    if not table.header_line or settings.header is not None:
        return
    # The first column of a table that pandas writes is dates without a name.
    names = [table.names[chosen]] if at is None or not table.names[at] else [table.names[chosen], table.names[at]]
    for name in names:
        if _may_be_value(name, settings.date_format):
            raise SeriesError(
                f"line {table.header_line}: ",
                *listed([name]),
                " may be a value or the name of a column",
                hint=("give ", Argument("header", False), " or ", Argument("header", True)),
            )


def _may_be_value(name: str, date_format: str | None) -> bool:
    """Whether this may be a number, a date or a missing value in some notation, also if the settings have another."""
    first = next((char for char in name if char.isalnum()), "")
    word = "".join(char for char in name.lower() if char.isalpha())
    return (
        not first.isalpha()
        or is_missing(word)
        or word in ("inf", "infinity", "nat")
        or (name.startswith("#") and name.endswith(("!", "?")))  # as spreadsheets write errors
        or bool(common_formats([name]))
        or (date_format is not None and parse_date(name, date_format) is not None)
    )


def _check_missing(values: Values, table: Table, chosen: int, settings: TableSettings) -> None:
    """Raises SeriesError for missing values that are not to be interpolated."""
    name, lines = shown(table.names[chosen]), table.lines
    gaps = np.flatnonzero(np.isnan(values))
    if not len(gaps):
        return
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        raise SeriesError(f"no value in column {name}")
    for missing_at_end, line, nearest, side in (
        (gaps[0] == 0, lines[0], lines[known[0]], "before"),
        (gaps[-1] == len(values) - 1, lines[-1], lines[known[-1]], "after"),
    ):
        if missing_at_end:
            raise SeriesError(
                f"line {line}: no value in column {name}, and none {side} line {nearest}",
                hint=f"delete the rows {side} line {nearest}; only values between others can be interpolated",
            )
    if settings.missing == "refuse":
        raise SeriesError(
            f"line {lines[gaps[0]]}: no value in column {name} ({len(gaps)} of {counted(len(values), 'row')} "
            f"{'is' if len(gaps) == 1 else 'are'} missing)",
            hint=(Argument("missing", "interpolate"), " fills them"),
        )
