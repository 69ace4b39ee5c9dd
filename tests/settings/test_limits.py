"""Limits of numbers, choices and Booleans, and the stored values."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from charloom import SettingsError
from charloom.settings.limits import check_bool, check_choice, check_count, check_int, check_number


@dataclass(frozen=True)
class _Settings:
    value: Any


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "it must be an integer, at least 1"),
        (8, "it must be an integer, at least 1 and at most 7"),
        (1.0, "it must be an integer, at least 1"),
        (True, "it must be an integer, at least 1"),
    ],
)
def test_integers(value: object, message: str) -> None:
    assert check_count("n", 7, minimum=1, maximum=7) == 7
    assert type(check_count("n", np.int32(7))) is int
    with pytest.raises(SettingsError, match=f"n(=| is ){value}: {message}$"):
        check_count("n", value, minimum=1, maximum=7)
    with pytest.raises(SettingsError, match="value is None: it must be an integer"):
        check_int(_Settings(None), "value")
    check_int(_Settings(None), "value", optional=True)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "it must be above 0 and at most 1"),
        (1.5, "it must be above 0 and at most 1"),
        ("0.5", "it must be a finite number"),
        (10**400, "it must be a finite number"),
    ],
)
def test_numbers_are_stored_as_floats(value: object, message: str) -> None:
    settings = _Settings(1)
    check_number(settings, "value", maximum=1.0, above_minimum=True)
    assert type(settings.value) is float
    with pytest.raises(SettingsError, match=message) as caught:
        check_number(_Settings(value), "value", maximum=1.0, above_minimum=True)
    assert (caught.value.setting, caught.value.value) == ("value", value)


@pytest.mark.parametrize("value", [1, 1.5, -0.5])
def test_a_maximum_that_is_excluded(value: float) -> None:
    check_number(_Settings(0.99), "value", maximum=1.0, below_maximum=True)
    with pytest.raises(SettingsError, match=r"it must be at least 0 and less than 1$"):
        check_number(_Settings(value), "value", maximum=1.0, below_maximum=True)


def test_choices_and_booleans() -> None:
    check_choice("unit", "byte", Literal["char", "byte"])
    with pytest.raises(SettingsError, match="unit is 'word': choose one of char, byte"):
        check_choice("unit", "word", Literal["char", "byte"])
    check_bool(_Settings(True), "value")
    with pytest.raises(SettingsError, match="value is 1: it must be true or false"):
        check_bool(_Settings(1), "value")
