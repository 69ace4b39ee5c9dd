"""Dates: parsed exactly or refused, strictly increasing, evenly spaced, and continued in their notation."""

import calendar
import re
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import SeriesError
from charloom.forecasting.dates import Dates, find_notation, format_date, parse_date, read_dates

_DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 28))
FORMATS = ("%d.%m.%Y", "%m/%d/%Y", "%d-%b-%Y", "%B %d, %Y", "%Y/%m/%d", "%d%m%Y", "%A, %d %B %Y", "%d.%m.%Y %H:%M")


def _read(labels: list[str], date_format: str | None = None) -> Dates | None:
    return read_dates(labels, list(range(2, 2 + len(labels))), "d", date_format)


@pytest.mark.parametrize(
    ("labels", "later"),
    [
        (["2001-11", "2001-12"], ["2002-01", "2002-02"]),
        (["2001-01-31", "2001-02-28", "2001-03-31"], ["2001-04-30", "2001-05-31"]),
        (["2000-11-29", "2000-12-29"], ["2001-01-29", "2001-02-28", "2001-03-29"]),
        (["2000-02-28", "2001-02-28", "2002-02-28", "2003-02-28"], ["2004-02-28"]),
        (["2000-02-29", "2001-02-28", "2002-02-28", "2003-02-28"], ["2004-02-29"]),
        (["2001-01-30", "2001-02-28"], ["2001-03-30"]),
        (["2001-01-30", "2001-02-28", "2001-03-29"], ["2001-04-27"]),  # 29 days
        (["2001-12-29", "2002-01-29", "2002-02-28", "2002-03-29"], ["2002-04-29"]),
        (["2001-06-30", "2001-12-30", "2002-06-30"], ["2002-12-30"]),
        (["2001-04-30", "2001-06-30"], ["2001-08-31"]),
        (["2001-12-31T10:00+0100", "2001-12-31T10:30+0100"], ["2001-12-31T11:00+0100"]),
        (["2001-12-31 10:00:00.8", "2001-12-31 10:00:00.9"], ["2001-12-31 10:00:01.0", "2001-12-31 10:00:01.1"]),
        (["2001-12-31 10:00:00", "2001-12-31 10:00:00.250"], ["2001-12-31 10:00:00.500"]),
        (["2001-12-31 10:00:00.2500000", "2001-12-31 10:00:00.5000000"], ["2001-12-31 10:00:00.7500000"]),
        (["1999", "2000"], ["2001", "2002"]),
        (["1990", "1995", "2000"], ["2005"]),
        (["2001-12-24", "2001-12-31"], ["2002-01-07"]),
        (["20011230", "20011231"], ["20020101"]),
        (["2001-Q3", "2001-Q4"], ["2002-Q1", "2002-Q2"]),
        (["2001Q2", "2001Q4"], ["2002Q2"]),
        (["2020-W52", "2020-W53"], ["2021-W01", "2021-W02"]),
        (["2001-12-31 23:00", "2001-12-31 23:30"], ["2002-01-01 00:00", "2002-01-01 00:30"]),
        (["2001-12-31 23:00:00", "2001-12-31 23:30:00"], ["2002-01-01 00:00:00"]),
        (["2001-12-31T23:00:00+02:00", "2001-12-31T23:30:00+02:00"], ["2002-01-01T00:00:00+02:00"]),
        (["2001-12-30T00:00:00.000Z", "2001-12-31T00:00:00.000Z"], ["2002-01-01T00:00:00.000Z"]),
        (["2001-12-31 10:00", "2001-12-31 10:00:30", "2001-12-31 10:01"], ["2001-12-31 10:01:30"]),
        (["2001-03", "2001-06", "2001-09"], ["2001-12", "2002-03"]),
        (["2001-03-24T00:00+01:00", "2001-03-25T00:00+01:00", "2001-03-26T00:00+02:00"], ["2001-03-27T00:00+02:00"]),
    ],
)
def test_dates_continue(labels: list[str], later: list[str]) -> None:
    dates = _read(labels)
    assert dates is not None
    assert [dates.label(i) for i in range(len(labels) + len(later))] == labels + later


@given(_DAYS, st.integers(1, 40), st.sampled_from(FORMATS))
def test_dates_in_a_given_format(first: date, step: int, date_format: str) -> None:
    days = [datetime(first.year, first.month, first.day) + timedelta(days=step * i) for i in range(5)]
    labels = [day.strftime(date_format) for day in days]
    dates = _read(labels[:4], date_format)
    assert dates is not None
    assert dates.times == tuple(days[:4])
    assert dates.label(4) == labels[4]
    with pytest.raises(SeriesError, match=r"line 2: .* in column 'd' is not an ISO date"):
        _read(labels)


@given(_DAYS, st.integers(1, 24), st.integers(2, 6), st.integers(1, 31))
def test_months_continue_on_their_day_or_their_last(first: date, step: int, number: int, day: int) -> None:
    months = [divmod(first.year * 12 + first.month - 1 + step * i, 12) for i in range(number + 1)]
    ends = [calendar.monthrange(year, month + 1)[1] for year, month in months]
    days = [min(day, end) for end in ends]
    if days[:-1] == ends[:-1]:  # February dates only
        days = ends
    elif max(days[:-1]) < days[-1]:  # short months only, which do not show the day
        days[-1] = max(days[:-1])
    labels = [f"{year}-{month + 1:02d}-{day:02d}" for (year, month), day in zip(months, days, strict=True)]
    dates = _read(labels[:-1])
    assert dates is not None
    assert dates.label(number) == labels[-1]


@given(st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)), st.integers(0, 3))
def test_iso_dates_are_parsed_exactly(time: datetime, form: int) -> None:
    label = (f"{time:%Y-%m-%d}", f"{time:%Y-%m}", f"{time:%G-W%V}", time.isoformat(sep=" "))[form]
    notation = find_notation(label)
    assert notation is not None
    found = parse_date(label, notation)
    assert found is not None
    assert format_date(found, notation, label) == label
    expected = (
        datetime(time.year, time.month, time.day),
        datetime(time.year, time.month, 1),
        datetime(time.year, time.month, time.day) - timedelta(days=time.weekday()),
        time,
    )
    assert found == expected[form]


@pytest.mark.parametrize(
    "label",
    [
        *("2023-1-5", "2023-02-30", "2023-13", "2023-Q5", "2023-W54", "0999", "3000", "202301", "20231301"),
        *("31.12.2023", "2023/12/31", "\u0662\u0660\u0662\u0663", "2023-11-3\u0663", "2023-12-31\n", " 2023", ""),
        *("2023-12-31T25:00", "2023-12-31 12", "1700000000", "NaT", "12:30", "-2023", "2023-12-31T10:00:00,5"),
        "2023-12-31T10:00:00.1234567",  # datetime has no nanoseconds
    ],
)
def test_invalid_iso_dates(label: str) -> None:
    notation = find_notation(label)
    assert notation is None or parse_date(label, notation) is None


@pytest.mark.parametrize(
    ("label", "date_format"),
    [
        ("1112023", "%d%m%Y"),  # the 11th of January or the 1st of November
        ("20231", "%Y%m"),
        ("20231101 11500", "%Y%m%d %H%M%S"),
        ("2023-W05", "%Y-W%W"),  # strptime ignores %W without a day of the week
        ("3\u0661.12.2023", "%d.%m.%Y"),
        ("30.02.2023", "%d.%m.%Y"),
        ("31.12.2023 x", "%d.%m.%Y"),
        ("01/01/2001 11:00 PM", "%m/%d/%Y %H:%M %p"),
        ("Mon 2001-12-30", "%a %Y-%m-%d"),  # a Sunday
        ("2001-12-30 UTC", "%Y-%m-%d %Z"),
        ("2001-12-30 100", "%Y-%m-%d %H%M"),
    ],
)
def test_dates_that_a_format_does_not_reproduce(label: str, date_format: str) -> None:
    assert parse_date(label, date_format) is None


@given(
    st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)),
    st.integers(0, 6),
    st.none() | st.sampled_from([-150, 0, 60, 345]),
    st.sampled_from(["+01:00", "+0100", "Z"]),
)
def test_fractions_of_seconds_and_time_zones_in_a_format(
    time: datetime, digits: int, minutes: int | None, form: str
) -> None:
    """A fraction of one to six digits, and a zone in each of its forms."""
    time = time.replace(microsecond=time.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    text, date_format = f"{time:%d/%m/%Y %H:%M:%S}", "%d/%m/%Y %H:%M:%S"
    if digits:
        text, date_format = f"{text}.{time.microsecond:06d}"[: 20 + digits], f"{date_format}.%f"
    if minutes is not None:
        time = time.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        zone = time.isoformat()[-6:]
        text += zone if form == "+01:00" else "Z" if form == "Z" and not minutes else zone.replace(":", "")
        date_format += "%z"
    found = parse_date(text, date_format)
    assert found is not None
    assert found == time
    assert found.utcoffset() == time.utcoffset()


def test_unpadded_dates_are_unambiguous_between_separators() -> None:
    assert parse_date("1/5/2023", "%d/%m/%Y") == datetime(2023, 5, 1)
    assert parse_date("2023-1-5", "%Y-%m-%d") == datetime(2023, 1, 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("2001-02 2001-01", "line 3: 2001-01 is earlier than 2001-02 in line 2; sort the rows, oldest"),
        ("2001-01 2001-02 2001-01", "line 4: 2001-01 is earlier than 2001-02 in line 3; sort the rows, oldest"),
        ("2001-01 2001-02 2001-01", "; if the file contains several series, keep the rows of one"),
        (
            "2001-01 2001-01 2001-02",
            "line 3: 2001-01 is the same date as 2001-01 in line 2; keep one row for each date; if the file contains",
        ),
        (
            "2001-01-01 2001-01-02 2001-01-04 2001-01-05",
            "line 4: 2001-01-04 is 2 days after 2001-01-02, but the other dates are",
        ),
        (
            "2001-01-28 2001-02-28 2001-03-31 2001-04-30",
            "line 5: 2001-04-30 is 30 days after 2001-03-31, but the other dates are",
        ),
        (
            "2001-01-01T00:00 2001-01-02T01:00 2001-01-03T02:00 2001-01-04T02:00 2001-01-05T02:00 2001-01-06T02:00",
            "line 4: 2001-01-03T02:00 is 1 day, 1:00:00 after 2001-01-02T01:00, but the other dates are 1 day",
        ),
        (
            "2001-01 2001-02 2001-03 2001-05 2001-06",
            "line 5: 2001-05 is 2 months after 2001-03, but the other dates are 1 month apart",
        ),
        (
            "2001-01 2001-02 Total",
            "line 4: 'Total' in column 'd' is not an ISO date like '2001-01'; correct the row, or",
        ),
        ("2001-01 2001-13 2001-03", "line 3: '2001-13' in column 'd' is not an ISO date like '2001-01'"),
        (
            "2001-12-01T10:00:00.000001 2001-12-01T10:00:00.0000015",
            "line 3: '2001-12-01T10:00:00.0000015' in column 'd' has nanoseconds, but dates are read to the "
            "microsecond; round the dates, or pass time='none' to number the rows if they are evenly spaced",
        ),
        ("2001-12 2001 2002-01", "line 3: '2001' in column 'd' is not an ISO date like '2001-12'"),
        (
            "2001-01-01T00:00Z 2001-01-02T00:00",
            "line 3: only one of '2001-01-02T00:00' and '2001-01-01T00:00Z' has a time",
        ),
        (
            "north north",
            "line 2: 'north' in column 'd' is not an ISO date such as 2001-12-31; pass date_format, for example %d",
        ),
        ("north north", "or the column of dates with time, or time='none' if the rows are evenly spaced"),
        (
            "29/04/2001 30/04/2001",
            "is not an ISO date such as 2001-12-31; pass date_format, for example %d.%m.%Y for 31.12.2001",
        ),
        (
            "31.12.2001 Total",
            "line 2: '31.12.2001' in column 'd' is not an ISO date such as 2001-12-31; pass date_format",
        ),
    ],
)
def test_dates_that_are_refused(labels: str, message: str) -> None:
    with pytest.raises(SeriesError, match=re.escape(message)):
        _read(labels.split())


def test_one_date_has_no_step() -> None:
    assert _read(["2001-01"]) is None


def test_many_steps_take_no_longer() -> None:
    times = [datetime(2000, 1, 1) + timedelta(minutes=i * i) for i in range(3000)]
    with pytest.raises(SeriesError, match="line 4: "):
        _read([time.isoformat() for time in times])


def test_dates_end_with_the_year_9999() -> None:
    dates = _read(["9999-11", "9999-12"])
    assert dates is not None
    with pytest.raises(SeriesError, match="beyond the year 9999; pass time='none' to number the points instead"):
        dates.label(2)
