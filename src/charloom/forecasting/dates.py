"""The dates of a series: read, checked to be evenly spaced, and carried on into the future."""

import calendar
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from charloom.errors import Argument, Part, SeriesError
from charloom.forecasting.csv_table import shown
from charloom.forecasting.date_notation import common_formats, format_date, notation_of, parse_date
from charloom.wording import counted

_WITHOUT_DATES = Argument("time", "none")


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
