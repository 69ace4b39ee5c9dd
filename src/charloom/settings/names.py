"""Any setting by its name alone: where it belongs, and its values from words of a command line."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from charloom.arguments import check_type
from charloom.errors import Argument, SettingsError, comma_separated
from charloom.settings.corpus import CorpusSettings
from charloom.settings.model import ModelSettings
from charloom.settings.training import TrainingSettings

TABLES: Mapping[str, type] = {"corpus": CorpusSettings, "model": ModelSettings, "training": TrainingSettings}
"""The groups of settings, as recipes name them. No two of them have a setting of the same name."""

_SWITCHES = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Setting:
    """A field of one of the dataclasses of settings.

    Attributes:
        name: As in Python.
        table: The group it belongs to.
        default: Its value where nobody gives one.
        kinds: The types it may have.
    """

    name: str
    table: str
    default: Any
    kinds: tuple[Any, ...]

    def parse(self, word: str) -> Any:
        """Its value from a word: ``none`` is None where it may be; ``true`` and ``false`` for switches.

        Raises SettingsError for a word that is none of its kinds; whether the value can be, the dataclass checks.
        """
        for kind in self.kinds:
            if kind is NoneType and word.lower() == "none":
                return None
            if kind is bool and word.lower() in _SWITCHES:
                return _SWITCHES[word.lower()]
            if kind in (int, float):
                try:
                    return kind(word)
                except ValueError:
                    continue
            if kind is str or (get_origin(kind) is Literal and word in get_args(kind)):
                return word
        raise SettingsError(self._expected(), setting=self.name, value=word)

    def _expected(self) -> str:
        said = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "none", str: "a name"}
        words = [said.get(kind) or f"one of {', '.join(map(str, get_args(kind)))}" for kind in self.kinds]
        return f"it must be {' or '.join(words)}"


def as_word(value: object) -> str:
    """A value as a command line has it: what ``Setting.parse`` reads."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def all_settings() -> dict[str, Setting]:
    """Every setting by its name."""
    found = {}
    for table, kind in TABLES.items():
        hints = get_type_hints(kind)
        for field in fields(kind):
            hint = hints[field.name]
            union = get_origin(hint) not in (None, Literal, tuple)
            found[field.name] = Setting(field.name, table, field.default, get_args(hint) if union else (hint,))
    return found


def find_setting(name: str) -> Setting:
    """The setting of a name as Python or the command line writes it. Raises SettingsError, naming the nearest."""
    check_type(str, setting=name)
    settings = all_settings()
    plain = name.removeprefix("--").replace("-", "_")
    if plain in settings:
        return settings[plain]
    near = difflib.get_close_matches(plain, settings, 1)
    hint = (
        ("did you mean ", Argument(near[0]), "?") if near else ("there are ", *comma_separated(map(Argument, settings)))
    )
    raise SettingsError(f"no setting {name!r}", hint=hint)
