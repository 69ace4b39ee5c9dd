"""Limits of numbers and words, by themselves."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from charloom import SettingsError
from charloom.settings.limits import check_choice, check_count, check_number


@dataclass(frozen=True)
class _Settings:
    rate: object = None


def test_counts_are_whole_numbers_within_their_bounds() -> None:
    assert check_count("n", 0) == 0
    assert type(check_count("n", np.int32(7), minimum=1)) is int
    for wrong, message in (
        (-1, "0 or more"),
        (2.0, "0 or more"),
        (True, "0 or more"),
        (11, "0 or more and at most 10"),
    ):
        with pytest.raises(SettingsError, match=f"n is {wrong}: it must be a whole number, {message}"):
            check_count("n", wrong, maximum=10)


def test_words_are_those_of_the_literal() -> None:
    check_choice("word", "a", Literal["a", "b"])
    for wrong in ("c", "", 1, None):
        with pytest.raises(SettingsError, match="choose one of a, b"):
            check_choice("word", wrong, Literal["a", "b"])


def test_numbers_are_finite_and_stored_as_pythons() -> None:
    settings = _Settings(np.float32(0.5))
    check_number(settings, "rate", above_minimum=True, maximum=1)
    assert type(settings.rate) is float
    check_number(_Settings(), "rate", optional=True)
    for wrong, message in ((0, "above 0 and at most 1"), (1.5, "above 0"), (float("nan"), "finite"), ("1", "finite")):
        with pytest.raises(SettingsError, match=message):
            check_number(_Settings(wrong), "rate", above_minimum=True, maximum=1)
    with pytest.raises(SettingsError, match="finite"):
        check_number(_Settings(None), "rate")
