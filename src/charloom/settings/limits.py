"""Limits of settings. Each check raises SettingsError with the setting, its value and what it may be.

Numbers of other libraries are accepted, and stored in settings as Python's.
"""

import math
import numbers
import operator
import sys
from typing import get_args

from charloom.errors import SettingsError

_LARGEST = 2**63 - 1
"""What a whole number of PyTorch's can be."""


def check_whole(
    settings: object, *names: str, minimum: int = 1, maximum: int = _LARGEST, optional: bool = False
) -> None:
    """These fields are whole numbers within the bounds; None passes where it is an option."""
    for name in names:
        value = getattr(settings, name)
        if value is not None or not optional:
            object.__setattr__(settings, name, check_count(name, value, minimum=minimum, maximum=maximum))


def check_count(name: str, value: object, *, minimum: int = 0, maximum: int = _LARGEST) -> int:
    """An argument is a whole number within the bounds. Returns it as an int."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not minimum <= number <= maximum:
        upper = f" and at most {maximum}" if number is not None and number > maximum else ""
        raise SettingsError(f"it must be a whole number, {minimum} or more{upper}", setting=name, value=value)
    return number


def check_number(
    settings: object,
    *names: str,
    minimum: float = 0.0,
    maximum: float = sys.float_info.max,
    above_minimum: bool = False,
    optional: bool = False,
) -> None:
    """These fields are finite numbers within the bounds; None passes where it is an option."""
    for name in names:
        value = getattr(settings, name)
        if value is None and optional:
            continue
        try:
            number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
        except OverflowError:  # of very large whole numbers
            number = math.inf
        if not math.isfinite(number):
            raise SettingsError("it must be a finite number", setting=name, value=value)
        if number < minimum or number > maximum or (above_minimum and number == minimum):
            lower = f"{'above' if above_minimum else 'at least'} {minimum:g}"
            upper = "" if maximum == sys.float_info.max else f" and at most {maximum:g}"
            raise SettingsError(f"it must be {lower}{upper}", setting=name, value=value)
        object.__setattr__(settings, name, number)


def check_word(settings: object, **words: object) -> None:
    """Each field is one of the words of its Literal."""
    for name, literal in words.items():
        check_choice(name, getattr(settings, name), literal)


def check_choice(name: str, value: object, literal: object) -> None:
    """An argument is one of the words of a Literal."""
    if not isinstance(value, str) or value not in get_args(literal):
        raise SettingsError(f"choose one of {', '.join(get_args(literal))}", setting=name, value=value)


def check_switch(settings: object, *names: str, optional: bool = False) -> None:
    """These fields are true or false; None passes where it is an option."""
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, bool) and not (value is None and optional):
            raise SettingsError("it must be true or false", setting=name, value=value)
