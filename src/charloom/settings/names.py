"""Any setting by its name alone: where it belongs, and its values from words of a command line."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Literal, TypeAlias, get_args, get_origin

from charloom.arguments import check_type
from charloom.errors import Argument, SettingsError, comma_separated
from charloom.settings.corpus import CorpusSettings
from charloom.settings.model import ModelSettings
from charloom.settings.training import TrainingSettings

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
"""A value that a setting may have."""

TABLES: Mapping[str, type] = {"corpus": CorpusSettings, "model": ModelSettings, "training": TrainingSettings}
"""The groups of settings, as recipes name them. No two of them have a setting of the same name."""

_TYPES = {field.name: field.type for kind in TABLES.values() for field in fields(kind)}
_SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
_SAID = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "none", str: "a name"}


def find_setting(name: str) -> str:
    """A setting's name in Python, from that or the command line's. Raises SettingsError, naming the nearest."""
    check_type(str, setting=name)
    plain = name.removeprefix("--").replace("-", "_")
    if plain in _TYPES:
        return plain
    near = difflib.get_close_matches(plain, _TYPES, 1)
    hint = (
        ("did you mean ", Argument(near[0]), "?") if near else ("there are ", *comma_separated(map(Argument, _TYPES)))
    )
    raise SettingsError(f"no setting {name!r}", hint=hint)


def parse_word(name: str, word: str) -> Value:
    """A setting's value from a word: ``none`` is None if it may be; ``true`` and ``false`` for switches.

    Raises SettingsError for a word that is none of its types, and for a setting that takes a list; whether the value
    can be, the dataclass checks.
    """
    hint = _TYPES[name]
    kinds = (hint,) if get_origin(hint) in (None, Literal, tuple) else get_args(hint)
    for kind in kinds:
        if kind is NoneType and word.lower() == "none":
            return None
        if kind is bool and word.lower() in _SWITCHES:
            return _SWITCHES[word.lower()]
        if kind in (int, float):
            try:
                number: float = kind(word)
            except ValueError:
                continue
            return number
        if kind is str or (get_origin(kind) is Literal and word in get_args(kind)):
            return word
    words = [_SAID.get(kind) or f"one of {', '.join(map(str, get_args(kind)))}" for kind in kinds]
    raise SettingsError(f"it must be {' or '.join(words)}", setting=name, value=word)


def as_word(value: Value) -> str:
    """A value as a command line has it: what ``parse_word`` reads."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
