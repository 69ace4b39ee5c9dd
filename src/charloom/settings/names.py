"""Settings by name, for the command line and recipes: their groups, and the parsing of their values."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Literal, TypeAlias, get_args, get_origin

from charloom.errors import Argument, SettingsError, join_with_commas
from charloom.settings.corpus import CorpusSettings
from charloom.settings.model import ModelSettings
from charloom.settings.training import TrainingSettings
from charloom_codec.arguments import check_type

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
"""Type of a setting's value."""

TABLES: Mapping[str, type] = {"corpus": CorpusSettings, "model": ModelSettings, "training": TrainingSettings}
"""Groups of settings, named as in recipes. No two groups have a setting of the same name."""

# field.type is the type itself, not a string: the modules of the dataclasses do not postpone annotations.
_TYPES = {field.name: field.type for kind in TABLES.values() for field in fields(kind)}
_BOOLS = {"true": True, "yes": True, "false": False, "no": False}
_TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false", NoneType: "none", str: "a string"}


def find_setting(name: str) -> str:
    """Returns the Python name of a setting, from that or its option's name.

    Raises SettingsError, with the most similar name, if there is no such setting.
    """
    check_type(str, setting=name)
    python_name = name.removeprefix("--").replace("-", "_")
    if python_name in _TYPES:
        return python_name
    near = difflib.get_close_matches(python_name, _TYPES, 1)
    hint = (
        ("did you mean ", Argument(near[0]), "?")
        if near
        else ("the settings are ", *join_with_commas(map(Argument, _TYPES)))
    )
    raise SettingsError(f"no setting {name!r}", hint=hint)


def parse_value(name: str, text: str) -> Value:
    """Parses a setting's value: ``none`` is None for an optional setting; ``true`` and ``false`` are bools.

    Raises SettingsError if the string fits none of the setting's types, and for a setting that takes a list. Limits of
    the value are checked by the dataclass.
    """
    hint = _TYPES[name]
    # Any other origin is that of a union, whose arguments are tried one by one.
    kinds = (hint,) if get_origin(hint) in (None, Literal, tuple) else get_args(hint)
    for kind in kinds:
        if kind is NoneType and text.lower() == "none":
            return None
        if kind is bool and text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
        if kind in (int, float):
            try:
                number: float = kind(text)
            except ValueError:
                continue
            return number
        if kind is str or (get_origin(kind) is Literal and text in get_args(kind)):
            return text
    allowed = [_TYPE_NAMES.get(kind) or f"one of {', '.join(map(str, get_args(kind)))}" for kind in kinds]
    raise SettingsError(f"it must be {' or '.join(allowed)}", setting=name, value=text)
