"""Settings by name, and their values from strings."""

import dataclasses
from typing import Any

import pytest

from charloom import Recipe, SettingsError
from charloom.errors import format_value
from charloom.settings.names import TABLES, find_setting, parse_value


def test_no_name_is_in_two_groups_of_settings() -> None:
    fields = [field.name for kind in TABLES.values() for field in dataclasses.fields(kind)]
    assert sorted(fields) == sorted(Recipe().values)


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("hidden-size", "64", 64),
        ("--learning-rate", "1e-3", 0.001),
        ("dropout", "0", 0.0),
        ("max_chars", "None", None),
        ("patience", "3", 3),
        ("keep-best", "false", False),
        ("lowercase", "none", None),
        ("tied_output", "yes", True),
        ("cell", "gru", "gru"),
        ("device", "cpu", "cpu"),
    ],
)
def test_strings_become_values(name: str, word: str, value: Any) -> None:
    found = parse_value(find_setting(name), word)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("hidden-size", "64.5", "hidden_size is '64.5': it must be an integer"),
        ("hidden-size", "none", "an integer"),
        ("max-chars", "many", "an integer or none"),
        ("cell", "cnn", "one of rnn, gru, lstm"),
        ("tied-output", "1", "true or false"),
        ("dropout", "", "a number"),
    ],
)
def test_invalid_strings(name: str, word: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_value(find_setting(name), word)


def test_a_converted_value_is_accepted_as_it_is() -> None:
    for name, value in Recipe().values.items():
        if name != "prefix":  # a list, which no string gives
            assert parse_value(name, format_value(value)) == value
