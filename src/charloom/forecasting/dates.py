"""The dates of a series: read, checked to be evenly spaced, and continued after its end.

A date is written in one of the usual forms of ISO 8601, or in a format for ``strptime``.
"""

import calendar
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from charloom.errors import Argument, Part, SeriesError, counted
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
_COMMON_FORMATS = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%y-%m-%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y"),
    *("%b %d, %Y", "%B %d, %Y", "%a %Y-%m-%d", "%Y-%m-%d (%a)", "%b-%Y", "%b-%y", "%b %Y", "%B %Y", "%Y-%b"),
    *("%m/%Y", "%m.%Y", "%m-%Y", "%Y/%m", "%Y%m", "%YM%m", "%Y-%m", "%Y-%m-%d %H:%M:%S"),
    *("%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d %H:%M", "%m/%d/%Y %I:%M:%S %p"),
    *("%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y%m%d %H:%M"),
)
"""Suggested in messages to whoever has such dates; nothing is read by them unless they are given."""


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

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, length: int) -> "Dates":
        """The first ``length`` of them."""
        return replace(self, labels=self.labels[:length], times=self.times[:length])

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
    """The dates of a column; None if there is only one, which tells no distance.

    Args:
        labels: The column.
        lines: The line of each label in its file, for messages.
        name: The column's, for messages.
        date_format: For ``strptime``; ISO dates if None.

    Raises SeriesError, with the line, for what is not a date, for dates that are not in strictly increasing order, and
    for dates that are not evenly spaced.
    """
    notation = date_format or notation_of(labels[0])
    times = []
    for label, line in zip(labels, lines, strict=True):
        time = notation and parse_date(label, notation)
        if not time:
            raise _not_a_date(label, line, labels, name, date_format)
        times.append(time)
    if len(times) < 2:
        return None
    assert notation is not None, "all labels are dates"
    _check_order(labels, times, lines)
    lengths = [calendar.monthrange(time.year, time.month)[1] for time in times]
    days = [time.day for time in times]
    day = 31 if days == lengths else max(days)  # 30 April and 28 February alone are month ends
    months = [(b.year - a.year) * 12 + b.month - a.month for a, b in itertools.pairwise(times)]
    if all(months) and days == [min(day, length) for length in lengths] and len({time.time() for time in times}) == 1:
        usual_months = Counter(months).most_common(1)[0][0]
        odd = next((place for place, step in enumerate(months) if step != usual_months), None)
        if odd is not None:
            raise _uneven(labels, lines, odd, counted(months[odd], "month"), counted(usual_months, "month"))
        return Dates(tuple(labels), tuple(times), usual_months, day, timedelta(), notation)
    steps = [b - a for a, b in itertools.pairwise(times)]
    usual = Counter(steps).most_common(1)[0][0]
    # Summer time moves the clock by an hour, and back.
    tolerance = timedelta(hours=1) if usual >= timedelta(days=1) else timedelta()
    earliest = latest = moved = timedelta()
    for place, step in enumerate(steps):
        moved += step - usual
        earliest, latest = min(earliest, moved), max(latest, moved)
        if latest - earliest > tolerance:
            raise _uneven(labels, lines, place, _told(step), _told(usual))
    return Dates(tuple(labels), tuple(times), 0, 0, usual, notation)


def _not_a_date(label: str, line: int, labels: Sequence[str], name: str, date_format: str | None) -> SeriesError:
    hint: tuple[Part, ...]
    if label != labels[0]:
        hint = ("correct the row, or delete it if it is not part of the series",)
    elif formats := common_formats(labels) or common_formats(labels[:1]):
        arguments = [Argument("date_format", found) for found in formats]
        hint = ("give ", *[part for argument in arguments for part in (" or ", argument)][1:])
    else:
        hint = (
            *("give ", Argument("date_format"), ", or the column of dates with ", Argument("time"), "; "),
            *(_WITHOUT_DATES, " takes the rows in the order of the file as evenly spaced, the oldest first"),
        )
    kind = "an ISO date such as 2001-12-31" if date_format is None else f"a date in the format {date_format!r}"
    if date_format is None and label != labels[0]:
        kind = f"an ISO date like {shown(labels[0])}"
    return SeriesError(f"line {line}: {shown(label)} in column {shown(name)} is not {kind}", hint=hint)


def _check_order(labels: Sequence[str], times: Sequence[datetime], lines: Sequence[int]) -> None:
    zones = [time.tzinfo is not None for time in times]
    if len(set(zones)) > 1:
        place = zones.index(not zones[0])
        raise SeriesError(
            f"line {lines[place]}: of {shown(labels[place])} and {shown(labels[0])} one has a time zone, the other none"
        )
    if all(b < a for a, b in itertools.pairwise(times)):
        raise SeriesError(
            f"the dates run backwards, from {labels[0]} in line {lines[0]} to {labels[-1]} in line {lines[-1]}",
            hint="sort the rows, the oldest first",
        )
    for place in range(1, len(times)):
        if times[place] <= times[place - 1]:
            how = "the same date as" if times[place] == times[place - 1] else "earlier than"
            raise SeriesError(
                f"line {lines[place]}: {labels[place]} is {how} {labels[place - 1]} in line {lines[place - 1]}",
                hint="sort the rows, the oldest first; if the file holds several series, keep the rows of one",
            )


def _uneven(labels: Sequence[str], lines: Sequence[int], place: int, step: str, usual: str) -> SeriesError:
    return SeriesError(
        f"line {lines[place + 1]}: {labels[place + 1]} comes {step} after {labels[place]}, others {usual}",
        hint=(
            *("add the rows that are missing; ", _WITHOUT_DATES),
            " takes the rows as evenly spaced, as of working days, and numbers them",
        ),
    )


def _add_months(time: datetime, months: int, day: int) -> datetime:
    year, month = divmod(time.year * 12 + time.month - 1 + months, 12)
    return time.replace(year=year, month=month + 1, day=min(day, calendar.monthrange(year, month + 1)[1]))


def _told(step: timedelta) -> str:
    return counted(step.days, "day") if step.days and not step.seconds else str(step)


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
        if not (found := _ISO[notation].fullmatch(label)):
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


def common_formats(labels: Sequence[str]) -> list[str]:
    """Formats in which all these labels are dates, in an order that does not go back and forth: for a hint."""
    found = []
    for notation in _COMMON_FORMATS:
        times = []
        for label in labels:
            time = parse_date(label, notation)
            if time is None:
                break
            times.append(time)
        else:
            found.append((notation, times in (sorted(times), sorted(times, reverse=True))))
    ordered = [notation for notation, in_order in found if in_order]
    return ordered or [notation for notation, _ in found]


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
