"""Counts as messages have them."""


def counted(number: int, noun: str) -> str:
    """``1 point``, ``2 points``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
