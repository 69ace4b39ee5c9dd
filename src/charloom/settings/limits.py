"""Limits of settings. Each check raises SettingsError with the setting, its value and the values allowed.

Numbers of other libraries, such as NumPy's, are accepted and converted to Python's.
"""

import math
import numbers
import operator
import sys
from typing import get_args

from charloom.errors import SettingsError

_MAX_VALUE = 2**63 - 1
"""Maximum of an int in PyTorch."""


def check_int(
    settings: object, *names: str, minimum: int = 1, maximum: int = _MAX_VALUE, optional: bool = False
) -> None:
    """Checks that fields are ints within the bounds, or None if ``optional``, and stores them as int."""
    for name in names:
        value = getattr(settings, name)
        if value is not None or not optional:
            # The dataclasses are frozen: only object's own method can store the converted value.
            object.__setattr__(settings, name, check_count(name, value, minimum=minimum, maximum=maximum))


def check_count(name: str, value: object, *, minimum: int = 0, maximum: int = _MAX_VALUE) -> int:
    """Returns an argument as an int. Raises SettingsError if it is not one, or out of bounds."""
    # operator.index accepts NumPy's ints and refuses floats, which int() would round.
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    # bool is a subclass of int, but True is never meant as 1.
    if number is None or isinstance(value, bool) or not minimum <= number <= maximum:
        upper = f" and at most {maximum}" if number is not None and number > maximum else ""
        raise SettingsError(f"it must be an integer, at least {minimum}{upper}", setting=name, value=value)
    return number


def check_number(
    settings: object,
    *names: str,
    minimum: float = 0.0,
    maximum: float = sys.float_info.max,
    above_minimum: bool = False,
    below_maximum: bool = False,
    optional: bool = False,
) -> None:
    """Checks that fields are finite numbers within the bounds, or None if ``optional``, and stores them as float."""
    for name in names:
        value = getattr(settings, name)
        if value is None and optional:
            continue
        try:
            number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
        except OverflowError:  # an int too large for a float
            number = math.inf
        # NaN must be refused before the comparisons below, which are all False for it.
        if not math.isfinite(number):
            raise SettingsError("it must be a finite number", setting=name, value=value)
        is_excluded = (above_minimum and number == minimum) or (below_maximum and number == maximum)
        if number < minimum or number > maximum or is_excluded:
            lower = f"{'above' if above_minimum else 'at least'} {minimum:g}"
            upper = f" and {'less than' if below_maximum else 'at most'} {maximum:g}"
            upper = "" if maximum == sys.float_info.max else upper
            raise SettingsError(f"it must be {lower}{upper}", setting=name, value=value)
        object.__setattr__(settings, name, number)


def check_str(settings: object, **literals: object) -> None:
    """Checks that each field is one of the choices of its Literal."""
    for name, literal in literals.items():
        check_choice(name, getattr(settings, name), literal)


def check_choice(name: str, value: object, literal: object) -> None:
    """Raises SettingsError unless an argument is one of the choices of a Literal."""
    # A value that is not hashable or comparable, such as an array, must not raise another error.
    if not isinstance(value, str) or value not in get_args(literal):
        raise SettingsError(f"choose one of {', '.join(get_args(literal))}", setting=name, value=value)


def check_bool(settings: object, *names: str, optional: bool = False) -> None:
    """Checks that fields are bools, or None if ``optional``."""
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, bool) and not (value is None and optional):
            raise SettingsError("it must be true or false", setting=name, value=value)
