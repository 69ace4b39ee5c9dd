"""Dates of a series: parsing, a check that they are evenly spaced, and dates after the end.

Dates are in one of the common forms of ISO 8601, or in a format for ``strptime``.
"""

import calendar
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charloom.errors import Argument, Part, SeriesError, pluralize
from charloom.forecasting.csv_table import quote_cell

_WITHOUT_DATES = Argument("time", "none")
_ISO = {
    "year": re.compile(r"[12]\d{3}", re.ASCII),
    "month": re.compile(r"\d{4}-\d{2}", re.ASCII),
    "quarter": re.compile(r"(\d{4})(-?)Q([1-4])", re.ASCII),
    "week": re.compile(r"\d{4}-W\d{2}", re.ASCII),
    "day": re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII),
    "compact day": re.compile(r"\d{8}", re.ASCII),
    "time": re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6}0*)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII),
}
_NANOSECONDS = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\.\d{6}0*[1-9]\d*(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Dates:
    """Evenly spaced times.

    They are a number of months apart (on the same day of the month, or the last day of a shorter month) or a time step.

    Attributes:
        labels: Dates as in the file.
        times: Parsed dates.
        months: Number of months between dates; 0 if ``step`` applies.
        day: Day of the month, or the last day of a shorter month; used if ``months`` is not 0.
        step: Time between dates; used if ``months`` is 0.
        notation: Kind of ISO date of the labels, or their format for ``strptime``.
    """

    labels: tuple[str, ...]
    times: tuple[datetime, ...]
    months: int
    day: int
    step: timedelta
    notation: str

    def time(self, place: int) -> datetime:
        """Returns the time of a point, also after the end. Raises SeriesError after the year 9999."""
        if place < len(self.times):
            return self.times[place]
        later = place - len(self.times) + 1
        try:
            if self.months:
                last = self.times[-1]
                # Months are counted from 0, or December would belong to the next year.
                year, month = divmod(last.year * 12 + last.month - 1 + later * self.months, 12)
                day = min(self.day, calendar.monthrange(year, month + 1)[1])
                return last.replace(year=year, month=month + 1, day=day)
            return self.times[-1] + later * self.step
        # A year after 9999 is a ValueError in replace and an OverflowError in an addition.
        except (ValueError, OverflowError):
            raise SeriesError(
                "the forecast extends beyond the year 9999",
                hint=("pass ", _WITHOUT_DATES, " to number the points instead"),
            ) from None

    def label(self, place: int) -> str:
        """Returns the label of a point, also after the end.

        Later ISO dates have the notation of the last one. Others are formatted by ``strftime``: leading zeros, English
        names in its case, six digits for %f, and +0100 for %z.
        """
        if place < len(self.labels):
            return self.labels[place]
        return format_date(self.time(place), self.notation, self.labels[-1])


def read_dates(labels: Sequence[str], lines: Sequence[int], name: str, date_format: str | None = None) -> Dates | None:
    """Parses the dates of a column and checks that they are evenly spaced.

    Args:
        labels: Dates of the rows.
        lines: Line number of each row, for messages.
        name: Name of the column, for messages.
        date_format: Format for ``strptime``; None for ISO dates.

    Returns:
        The dates; None if there is only one, because it has no distance to another.

    Raises:
        SeriesError: A row is not a date, is not later than the one before, or has a distance to it unlike the others.
    """
    # The first date fixes the notation: a mixture may have two meanings.
    notation = date_format or find_notation(labels[0]) or ""
    times = []
    for label, line in zip(labels, lines, strict=True):
        if (time := parse_date(label, notation)) is None:
            raise _make_date_error(label, line, labels[0], name, date_format)
        times.append(time)
    if len(times) < 2:
        return None
    _check_order(labels, times, lines)
    lengths = [calendar.monthrange(time.year, time.month)[1] for time in times]
    days = [time.day for time in times]
    # A series of month ends must continue at month ends.
    day = 31 if days == lengths else max(days)  # 30 April and 28 February alone are ends of months
    steps = [(b.year - a.year) * 12 + b.month - a.month for a, b in itertools.pairwise(times)]
    # Steps of months have different numbers of days, so try months first.
    on_day = days == [min(day, length) for length in lengths] and len({time.time() for time in times}) == 1
    by_month = on_day and all(steps)
    if not by_month:
        steps = [(b - a) // _MICROSECOND for a, b in itertools.pairwise(times)]
    # The most common step is the grid, so that the message names the row that is off it.
    common_step = Counter(steps).most_common(1)[0][0]
    # Daylight saving time moves the clock by an hour, and back.
    tolerance = 0 if by_month or common_step * _MICROSECOND < timedelta(days=1) else timedelta(hours=1) // _MICROSECOND
    # Offsets from the even grid: compared with their extremes, so that many small shifts do not add up unnoticed.
    earliest = latest = 0
    for index, offset in enumerate(itertools.accumulate(step - common_step for step in steps)):
        earliest, latest = min(earliest, offset), max(latest, offset)
        if latest - earliest > tolerance:
            found, others = (_format_step(step, by_month=by_month) for step in (steps[index], common_step))
            raise SeriesError(
                f"line {lines[index + 1]}: {labels[index + 1]} is {found} after {labels[index]}, "
                f"but the other dates are {others} apart",
                hint=(
                    "add the missing rows or, if the rows are evenly spaced anyway (for example, working days), pass ",
                    *(_WITHOUT_DATES, " to number them"),
                ),
            )
    months, step = (common_step, timedelta()) if by_month else (0, common_step * _MICROSECOND)
    return Dates(tuple(labels), tuple(times), months, day, step, notation)


def describe_nanoseconds(label: str) -> str:
    """Returns what is wrong with an ISO time that has nanoseconds; empty for any other label that is not a date."""
    return "has nanoseconds, but dates are read to the microsecond" if _NANOSECONDS.fullmatch(label) else ""


def _make_date_error(label: str, line: int, first: str, name: str, date_format: str | None) -> SeriesError:
    if date_format is None and (problem := describe_nanoseconds(label)):
        return SeriesError(
            f"line {line}: {quote_cell(label)} in column {quote_cell(name)} {problem}",
            hint=("round the dates, or pass ", _WITHOUT_DATES, " to number the rows if they are evenly spaced"),
        )
    hint: tuple[Part, ...] = ("correct the row, or delete it if it is not part of the series",)
    if label == first:
        hint = (
            *("pass ", Argument("date_format"), ", for example %d.%m.%Y for 31.12.2001, or the column of dates with "),
            *(Argument("time"), ", or ", _WITHOUT_DATES, " if the rows are evenly spaced, oldest first"),
        )
    kind = "an ISO date " + ("such as 2001-12-31" if label == first else f"like {quote_cell(first)}")
    if date_format is not None:
        kind = f"a date in the format {date_format!r}"
    return SeriesError(f"line {line}: {quote_cell(label)} in column {quote_cell(name)} is not {kind}", hint=hint)


def _check_order(labels: Sequence[str], times: Sequence[datetime], lines: Sequence[int]) -> None:
    # Python cannot order a time that has a zone and one that has none.
    zones = [time.tzinfo is not None for time in times]
    if len(set(zones)) > 1:
        index = zones.index(not zones[0])
        raise SeriesError(
            f"line {lines[index]}: only one of {quote_cell(labels[index])} and {quote_cell(labels[0])} has a time zone",
            hint="write all dates with a time zone, or all without one",
        )
    for index in range(1, len(times)):
        if times[index] <= times[index - 1]:
            # Sorting does not change the order of two rows of the same date.
            is_same = times[index] == times[index - 1]
            relation = "the same date as" if is_same else "earlier than"
            remedy = "keep one row for each date" if is_same else "sort the rows, oldest first"
            raise SeriesError(
                f"line {lines[index]}: {labels[index]} is {relation} {labels[index - 1]} in line {lines[index - 1]}",
                hint=f"{remedy}; if the file contains several series, keep the rows of one",
            )


def _format_step(step: int, *, by_month: bool) -> str:
    if by_month:
        return pluralize(step, "month")
    time = step * _MICROSECOND
    return pluralize(time.days, "day") if time.days and not time.seconds else str(time)


def find_notation(label: str) -> str | None:
    """Returns the kind of ISO date that the label has the form of; None if it is not an ISO date."""
    return next((kind for kind, pattern in _ISO.items() if pattern.fullmatch(label)), None)


def parse_date(label: str, notation: str) -> datetime | None:
    """Parses a date in a notation, which is a kind of ISO date or a format with ``%``.

    Returns the start of the year, month, quarter or week; None if the label is not such a date.
    """
    try:
        if "%" in notation:
            time = datetime.strptime(label, notation)
            # Formatting must give the label back: digits without separators may be split in two ways (1112023), and
            # strptime ignores some codes (%W, %Z, a wrong %a, %p after %H).
            written = _split_runs(label)
            formats = _expand_format(notation, time)
            return time if any(_split_runs(time.strftime(one)) == written for one in formats) else None
        if notation not in _ISO or not (found := _ISO[notation].fullmatch(label)):
            return None
        if notation == "quarter":
            # fromisoformat does not know quarters, which start in the months 1, 4, 7 and 10.
            return datetime(int(found[1]), 3 * int(found[3]) - 2, 1)
        # fromisoformat requires a month and a day.
        return datetime.fromisoformat(label + {"year": "-01-01", "month": "-01"}.get(notation, ""))
    except ValueError:
        return None


def format_date(time: datetime, notation: str, like: str) -> str:
    """Formats the time in the notation of the label ``like``."""
    if "%" in notation:
        return time.strftime(notation)
    if notation in (lengths := {"year": 4, "month": 7, "day": 10}):
        return time.date().isoformat()[: lengths[notation]]
    if notation == "quarter":
        return f"{time.year:04d}{'-' if '-' in like else ''}Q{(time.month + 2) // 3}"
    if notation == "week":
        # The year of the week, which differs from that of the date in some first and last days of a year.
        year, week, _ = time.isocalendar()
        return f"{year:04d}-W{week:02d}"
    if notation == "compact day":
        return time.date().isoformat().replace("-", "")
    return _format_time(time, like)


def _expand_format(notation: str, time: datetime) -> list[str]:
    """Returns the format with the fraction of a second and the zone in each form that ``strptime`` accepts."""
    digits = f"{time.microsecond:06d}"
    fractions = [digits[:end] for end in range(1, 7) if not digits[end:].strip("0")] if "%f" in notation else [""]
    zones = ["%z", time.isoformat()[-6:], *([] if time.utcoffset() else ["Z"])] if "%z" in notation else [""]
    return [notation.replace("%f", fraction).replace("%z", zone) for fraction in fractions for zone in zones]


def _format_time(time: datetime, like: str) -> str:
    """Formats a time with as many digits as ``like``, or more if needed, and with its time zone."""
    end = 11 + len(re.split("[Z+-]", like[11:])[0])
    clock = time.replace(tzinfo=None)
    text = clock.isoformat(like[10], "microseconds").ljust(end, "0")
    return (clock.isoformat(like[10]) if text[end:].strip("0:.") else text[:end]) + like[end:]


def _split_runs(text: str) -> list[str]:
    """Returns the runs of digits, without leading zeros, and of letters.

    Digits of other scripts differ from 0 to 9.
    """
    # strptime accepts numbers without leading zeros, and names in any case.
    return [run.lstrip("0").casefold() for run in re.findall(r"\d+|[^\W\d_]+", text)]
