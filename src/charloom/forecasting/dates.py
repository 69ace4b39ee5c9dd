"""The dates of a series: read, checked to be evenly spaced, and continued after its end.

A date is written in one of the usual forms of ISO 8601, or in a format for ``strptime``.
"""

import calendar
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charloom.errors import Argument, Part, SeriesError, pluralize
from charloom.forecasting.csv_table import shown

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
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Dates:
    """Evenly spaced times: a whole number of months (on the same day, or a shorter month's last), or of seconds.

    Attributes:
        labels: As the file has them.
        times: The same as times.
        months: Months from one to the next; 0 if ``step`` counts.
        day: Each is this day of its month, or the last of a shorter month; used if ``months`` counts.
        step: Time from one to the next.
        notation: The kind of ISO date that the labels are, or their format for ``strptime``.
    """

    labels: tuple[str, ...]
    times: tuple[datetime, ...]
    months: int
    day: int
    step: timedelta
    notation: str

    def time(self, place: int) -> datetime:
        """The time of a point, which may lie after the end. Raises SeriesError beyond the year 9999."""
        if place < len(self.times):
            return self.times[place]
        later = place - len(self.times) + 1
        try:
            if self.months:
                return _add_months(self.times[-1], later * self.months, self.day)
            return self.times[-1] + later * self.step
        except (ValueError, OverflowError):
            raise SeriesError(
                "the forecast goes beyond year 9999", hint=(_WITHOUT_DATES, " numbers the points instead")
            ) from None

    def label(self, place: int) -> str:
        """The label of a point, which may lie after the end.

        Later ISO dates are written as the last one is, others as ``strftime`` writes the format: with leading zeros,
        English names in its case, six digits of %f, and +0100 for %z.
        """
        if place < len(self.labels):
            return self.labels[place]
        return format_date(self.time(place), self.notation, self.labels[-1])


def read_dates(labels: Sequence[str], lines: Sequence[int], name: str, date_format: str | None = None) -> Dates | None:
    """The dates of a column, ISO dates if there is no format; None if there is only one, which tells no distance.

    Lines and name are for messages. Raises SeriesError, with the line, for what is not a date, for dates that are not
    in strictly increasing order, and for dates that are not evenly spaced.
    """
    notation = date_format or notation_of(labels[0]) or ""
    times = []
    for label, line in zip(labels, lines, strict=True):
        if (time := parse_date(label, notation)) is None:
            raise _not_a_date(label, line, labels[0], name, date_format)
        times.append(time)
    if len(times) < 2:
        return None
    _check_order(labels, times, lines)
    lengths = [calendar.monthrange(time.year, time.month)[1] for time in times]
    days = [time.day for time in times]
    day = 31 if days == lengths else max(days)  # 30 April and 28 February alone are month ends
    steps = [(b.year - a.year) * 12 + b.month - a.month for a, b in itertools.pairwise(times)]
    on_day = days == [min(day, length) for length in lengths] and len({time.time() for time in times}) == 1
    by_month = on_day and all(steps)
    if not by_month:
        steps = [(b - a) // _MICROSECOND for a, b in itertools.pairwise(times)]
    usual = Counter(steps).most_common(1)[0][0]
    # Summer time moves the clock by an hour, and back.
    tolerance = 0 if by_month or usual * _MICROSECOND < timedelta(days=1) else timedelta(hours=1) // _MICROSECOND
    earliest = latest = 0
    for place, moved in enumerate(itertools.accumulate(step - usual for step in steps)):
        earliest, latest = min(earliest, moved), max(latest, moved)
        if latest - earliest > tolerance:
            told, others = (_told(step, by_month=by_month) for step in (steps[place], usual))
            raise SeriesError(
                f"line {lines[place + 1]}: {labels[place + 1]} comes {told} after {labels[place]}, others {others}",
                hint=(
                    *("add the rows that are missing; ", _WITHOUT_DATES),
                    " takes the rows as evenly spaced, as of working days, and numbers them",
                ),
            )
    months, step = (usual, timedelta()) if by_month else (0, usual * _MICROSECOND)
    return Dates(tuple(labels), tuple(times), months, day, step, notation)


def _not_a_date(label: str, line: int, first: str, name: str, date_format: str | None) -> SeriesError:
    hint: tuple[Part, ...] = ("correct the row, or delete it if it is not part of the series",)
    if label == first:
        hint = (
            *("give ", Argument("date_format"), ", as %d.%m.%Y for 31.12.2001, or the column of dates with "),
            *(Argument("time"), "; ", _WITHOUT_DATES, " takes the rows in the order of the file as evenly spaced"),
            ", the oldest first",
        )
    kind = "an ISO date " + ("such as 2001-12-31" if label == first else f"like {shown(first)}")
    if date_format is not None:
        kind = f"a date in the format {date_format!r}"
    return SeriesError(f"line {line}: {shown(label)} in column {shown(name)} is not {kind}", hint=hint)


def _check_order(labels: Sequence[str], times: Sequence[datetime], lines: Sequence[int]) -> None:
    zones = [time.tzinfo is not None for time in times]
    if len(set(zones)) > 1:
        place = zones.index(not zones[0])
        raise SeriesError(
            f"line {lines[place]}: of {shown(labels[place])} and {shown(labels[0])} one has a time zone, the other none"
        )
    for place in range(1, len(times)):
        if times[place] <= times[place - 1]:
            how = "the same date as" if times[place] == times[place - 1] else "earlier than"
            raise SeriesError(
                f"line {lines[place]}: {labels[place]} is {how} {labels[place - 1]} in line {lines[place - 1]}",
                hint="sort the rows, the oldest first; if the file holds several series, keep the rows of one",
            )


def _add_months(time: datetime, months: int, day: int) -> datetime:
    year, month = divmod(time.year * 12 + time.month - 1 + months, 12)
    return time.replace(year=year, month=month + 1, day=min(day, calendar.monthrange(year, month + 1)[1]))


def _told(step: int, *, by_month: bool) -> str:
    if by_month:
        return pluralize(step, "month")
    time = step * _MICROSECOND
    return pluralize(time.days, "day") if time.days and not time.seconds else str(time)


def notation_of(label: str) -> str | None:
    """The kind of ISO date that a label has the form of; None if it has none."""
    return next((kind for kind, pattern in _ISO.items() if pattern.fullmatch(label)), None)


def parse_date(label: str, notation: str) -> datetime | None:
    """The time that a label stands for, the first of a month, quarter or week; None if it is none.

    notation: A kind of ISO date, or a format with ``%``.
    """
    try:
        if "%" in notation:
            time = datetime.strptime(label, notation)
            # Digits without separators may be cut in two ways (1112023), and strptime ignores some codes (%W, %Z, a
            # wrong %a, %p after %H).
            written = _digits_and_words(label)
            formats = _with_fractions_and_zones(notation, time)
            return time if any(_digits_and_words(time.strftime(one)) == written for one in formats) else None
        if notation not in _ISO or not (found := _ISO[notation].fullmatch(label)):
            return None
        if notation == "quarter":
            return datetime(int(found[1]), 3 * int(found[3]) - 2, 1)
        return datetime.fromisoformat(label + {"year": "-01-01", "month": "-01"}.get(notation, ""))
    except ValueError:
        return None


def format_date(time: datetime, notation: str, like: str) -> str:
    """The time in the same notation as the label ``like``."""
    if "%" in notation:
        return time.strftime(notation)
    if notation in (lengths := {"year": 4, "month": 7, "day": 10}):
        return time.date().isoformat()[: lengths[notation]]
    if notation == "quarter":
        return f"{time.year:04d}{'-' if '-' in like else ''}Q{(time.month + 2) // 3}"
    if notation == "week":
        year, week, _ = time.isocalendar()
        return f"{year:04d}-W{week:02d}"
    if notation == "compact day":
        return time.date().isoformat().replace("-", "")
    return _format_time(time, like)


def _with_fractions_and_zones(notation: str, time: datetime) -> list[str]:
    """The format with the time's fraction of a second and its zone in each form that ``strptime`` reads."""
    digits = f"{time.microsecond:06d}"
    fractions = [digits[:end] for end in range(1, 7) if not digits[end:].strip("0")] if "%f" in notation else [""]
    zones = ["%z", time.isoformat()[-6:], *([] if time.utcoffset() else ["Z"])] if "%z" in notation else [""]
    return [notation.replace("%f", fraction).replace("%z", zone) for fraction in fractions for zone in zones]


def _format_time(time: datetime, like: str) -> str:
    """As many digits as ``like`` has, or more if the time needs them; its time zone, which is the same."""
    end = 11 + len(re.split("[Z+-]", like[11:])[0])
    clock = time.replace(tzinfo=None)
    text = clock.isoformat(like[10], "microseconds").ljust(end, "0")
    return (clock.isoformat(like[10]) if text[end:].strip("0:.") else text[:end]) + like[end:]


def _digits_and_words(text: str) -> list[str]:
    """The runs of digits, without leading zeros, and of letters. Digits other than 0 to 9 are kept apart from these."""
    return [run.lstrip("0").casefold() for run in re.findall(r"\d+|[^\W\d_]+", text)]
