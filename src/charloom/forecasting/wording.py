"""Counts and cells as messages have them."""

_LONGEST_SHOWN = 40


def counted(number: int, noun: str) -> str:
    """``1 point``, ``2 points``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown(cell: str) -> str:
    """A cell in quotes, its end left out where it is long."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else cell[:_LONGEST_SHOWN] + "...")
