"""How a date is written: ISO 8601 in its usual forms, or a format for ``strptime``."""

import re
from collections.abc import Sequence
from datetime import datetime

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
