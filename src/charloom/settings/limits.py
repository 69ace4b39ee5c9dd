"""What a setting may be. Each check raises SettingsError naming the setting and the way out."""

import math
from typing import Any, get_args

from charloom.errors import SettingsError


def check_whole(settings: object, *names: str, minimum: int = 1) -> None:
    """These fields are whole numbers from ``minimum`` up; None passes where the field allows it."""
    for name in names:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise SettingsError(f"{name} is {value!r}: it must be a whole number, {minimum} or more")


def check_number(
    settings: object, *names: str, minimum: float = 0.0, maximum: float = math.inf, above_minimum: bool = False
) -> None:
    """These fields are finite numbers within the bounds; None passes where the field allows it."""
    for name in names:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise SettingsError(f"{name} is {value!r}: it must be a finite number")
        if value < minimum or value > maximum or (above_minimum and value == minimum):
            lower = f"{'above' if above_minimum else 'at least'} {minimum:g}"
            upper = "" if maximum == math.inf else f" and at most {maximum:g}"
            raise SettingsError(f"{name} is {value!r}: it must be {lower}{upper}")


def check_word(settings: object, **words: Any) -> None:
    """Each field is one of the words of its Literal."""
    for name, literal in words.items():
        value = getattr(settings, name)
        if value not in get_args(literal):
            raise SettingsError(f"{name} is {value!r}: choose one of {', '.join(get_args(literal))}")


def check_switch(settings: object, *names: str) -> None:
    """These fields are true or false; None passes where the field allows it."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not isinstance(value, bool):
            raise SettingsError(f"{name} is {value!r}: it must be true or false")
