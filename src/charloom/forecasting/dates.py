"""The dates of a series: read, checked to be evenly spaced, and carried on into the future."""

import calendar
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from charloom.errors import Argument, SeriesError
from charloom.wording import counted

_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})")
_YEAR = re.compile(r"\d{4}")
_DAY = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})")


class NotSortedError(SeriesError):
    """A date comes after a later one."""


@dataclass(frozen=True)
class Dates:
    """Evenly spaced times: a whole number of months (the same day, or each month's last), or of seconds.

    Attributes:
        labels: As the file has them.
        times: The same, understood.
        months: Months from one to the next; 0 where ``step`` counts.
        step: Time from one to the next.
    """

    labels: tuple[str, ...]
    times: tuple[datetime, ...]
    months: int
    step: timedelta

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, length: int) -> "Dates":
        """The first ``length`` of them."""
        return Dates(self.labels[:length], self.times[:length], self.months, self.step)

    def time(self, place: int) -> datetime:
        """The time of a point, which may lie after the end. Raises SeriesError beyond the year 9999."""
        if place < len(self.times):
            return self.times[place]
        later = place - len(self.times) + 1
        try:
            if self.months:
                at_month_ends = all(_is_month_end(time) for time in self.times[-3:])
                return _add_months(self.times[-1], later * self.months, at_month_ends)
            return self.times[-1] + later * self.step
        except (ValueError, OverflowError):
            raise SeriesError(
                "the forecast goes beyond year 9999: ", Argument("time", "none"), " numbers the points instead"
            ) from None

    def label(self, place: int) -> str:
        """The label of a point, which may lie after the end, written as the last one is."""
        if place < len(self.labels):
            return self.labels[place]
        time, shape = self.time(place), self.labels[-1]
        if _YEAR.fullmatch(shape):
            return f"{time.year:04d}"
        if found := _MONTH.fullmatch(shape):
            return f"{time.year:04d}{shape[len(found[1])]}{time.month:02d}"
        if _DAY.fullmatch(shape):
            return f"{time.year:04d}/{time.month:02d}/{time.day:02d}"
        if len(shape) == len("20011231"):
            return time.strftime("%Y%m%d")
        if len(shape) <= len("2001-12-31"):
            return time.date().isoformat()
        return time.isoformat(sep="T" if "T" in shape else " ")


def read_dates(labels: Sequence[str], lines: Sequence[int]) -> Dates | None:
    """The dates; None where these are none.

    lines: The line of each in its file, for messages. Raises SeriesError where they run backwards, stand still or are
    not evenly spaced.
    """
    times = []
    for label in labels:
        time = _understood(label)
        if time is None:
            return None
        times.append(time)
    if len(times) < 2:
        return None
    for i in range(1, len(times)):
        try:
            backwards, still = times[i] < times[i - 1], times[i] == times[i - 1]
        except TypeError:
            raise SeriesError(f"line {lines[i]}: {labels[i]} has a time zone and others have none") from None
        if backwards:
            raise NotSortedError(
                f"line {lines[i]}: {labels[i]} comes after {labels[i - 1]}: sort the file, the oldest first"
            )
        if still:
            raise SeriesError(f"line {lines[i]}: {labels[i]} is there twice: give each time one value")
    months = _months_between(times[0], times[1])
    if months and all(_months_between(a, b) == months for a, b in itertools.pairwise(times)):
        return Dates(tuple(labels), tuple(times), months, timedelta())
    steps = [b - a for a, b in itertools.pairwise(times)]
    usual = max(set(steps), key=steps.count)
    for i, step in enumerate(steps):
        # An hour more or less is summer time.
        if step != usual and not (usual >= timedelta(days=1) and abs(step - usual) <= timedelta(hours=1)):
            raise SeriesError(
                f"line {lines[i + 1]}: {labels[i + 1]} comes {_told(step)} after {labels[i]}, others {_told(usual)}: "
                "the times must be evenly spaced"
            )
    return Dates(tuple(labels), tuple(times), 0, usual)


def _understood(label: str) -> datetime | None:
    if _YEAR.fullmatch(label):
        return datetime(int(label), 1, 1) if int(label) else None
    try:
        if found := _MONTH.fullmatch(label):
            return datetime(int(found[1]), int(found[2]), 1)
        if found := _DAY.fullmatch(label):
            return datetime(int(found[1]), int(found[2]), int(found[3]))
        if not re.match(r"\d{4}-?\d\d-?\d\d", label):
            return None
        return datetime.fromisoformat(label)
    except ValueError:
        return None


def _is_month_end(time: datetime | date) -> bool:
    return time.day == calendar.monthrange(time.year, time.month)[1]


def _months_between(a: datetime, b: datetime) -> int:
    """Whole months from one to the other; 0 where it is something else."""
    same_day = a.day == b.day or (_is_month_end(a) and _is_month_end(b))
    return (b.year - a.year) * 12 + b.month - a.month if same_day and a.time() == b.time() else 0


def _add_months(time: datetime, months: int, at_month_ends: bool) -> datetime:
    year, month = divmod(time.year * 12 + time.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return time.replace(year=year, month=month + 1, day=last if at_month_ends else min(time.day, last))


def _told(step: timedelta) -> str:
    return counted(step.days, "day") if step.days and not step.seconds else str(step)
