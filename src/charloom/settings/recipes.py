"""Recipes: TOML files of settings with a reason for each number."""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from charloom.errors import Argument, SettingsError, describe_os_error, format_parts
from charloom.settings.corpus import CorpusSettings
from charloom.settings.model import ModelSettings
from charloom.settings.names import TABLES, Value, find_setting
from charloom.settings.training import TrainingSettings
from charloom_codec.arguments import check_type

SECTION = "section"
OWN_TEXT = "own-text"
AUTO = "auto"
"""The recipe whose settings are chosen when a run starts, by ``charloom.runs.fitting``."""


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run.

    Attributes:
        corpus: Settings of reading the text.
        model: Settings of the model.
        training: Settings of training.
        name: Name of the recipe, or path of its file; empty if the settings are not from a recipe.
        given: Names of the settings that were changed after the recipe was loaded; the recipe ``auto`` keeps them.
        reasons: Description of the settings that ``fit_recipe`` has chosen; empty if it chose none.
    """

    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    # Recipes with the same settings are equal, whatever their names.
    name: str = field(default="", compare=False)
    given: frozenset[str] = field(default=frozenset(), compare=False)
    reasons: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for table, kind in TABLES.items():
            check_type(kind, **{table: getattr(self, table)})

    @property
    def values(self) -> dict[str, Value]:
        """All settings by name, of all groups."""
        return {**vars(self.corpus), **vars(self.model), **vars(self.training)}

    def with_changes(self, changes: Mapping[str, object]) -> "Recipe":
        """Returns a copy with some settings changed. Raises SettingsError for an unknown name or a wrong value."""
        check_type(Mapping, changes=changes)
        # find_setting also accepts the names of options, with hyphens.
        named = {find_setting(name): value for name, value in changes.items()}
        groups: dict[str, Any] = {}
        for table in TABLES:
            group = getattr(self, table)
            # replace calls __post_init__, which validates the new combination.
            groups[table] = replace(group, **{name: named[name] for name in vars(group).keys() & named.keys()})
        return replace(self, **groups, given=self.given | named.keys())


def recipe_names() -> list[str]:
    """Returns the names of charloom's own recipes."""
    files = resources.files("charloom.recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def read_recipe(name: str) -> str:
    """Returns the text of a recipe, with comments: one of charloom's own, or a path that ends in ``.toml``."""
    if not name.endswith(".toml"):
        if name not in recipe_names():
            raise SettingsError(
                f"no recipe {name!r}: choose one of {', '.join(recipe_names())}, or pass the path of a .toml file"
            )
        return (resources.files("charloom.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null character in the path
        raise SettingsError(f"recipe {name}: {describe_os_error(error)}") from None


def as_key(argument: Argument) -> str:
    """Formats an argument in a message as a key of a recipe: ``num_steps``, ``unit = "byte"``."""
    return argument.name if argument.value is ... else f"{argument.name} = {json.dumps(argument.value, default=str)}"


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """Parses the text of a TOML file. Raises SettingsError, with the name of the file, if it is not TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested too deeply
        raise SettingsError(f"{file}: {error}") from None


def load_recipe(name: str) -> Recipe:
    """Loads a recipe by name (``section``, ``own-text``, ...) or by the path of a ``.toml`` file.

    Raises SettingsError, with the recipe, the table and the key, for an unknown key or a wrong value.
    """
    check_type(str, name=name)
    tables = parse_toml(read_recipe(name), f"recipe {name}")
    # Unknown keys are refused, since a misspelled setting would otherwise silently keep its default.
    for table, values in tables.items():
        if table in TABLES and not isinstance(values, dict):
            raise SettingsError(f"recipe {name}: {table} is {values!r}, but must be a table: [{table}]")
        if table not in TABLES:
            what = f"no table [{table}]" if isinstance(values, dict) else f"{table} is not in a table"
            raise SettingsError(f"recipe {name}: {what}; {_hint(table, TABLES, '[{}]')}")
        known = [field.name for field in fields(TABLES[table])]
        for key in values:
            if key not in known:
                raise SettingsError(f"recipe {name}: [{table}] has no key {key!r}; {_hint(key, known, '{}')}")
    groups = {}
    for table, kind in TABLES.items():
        try:
            groups[table] = kind(**tables.get(table, {}))
        except SettingsError as error:
            raise SettingsError(f"recipe {name}: [{table}] {format_parts(error.parts, as_key)}") from error
    return Recipe(**groups, name=name)


def _hint(name: str, known: Iterable[str], pattern: str) -> str:
    """Returns a hint: the table that a key belongs to, or the most similar of the known names."""
    for table, kind in TABLES.items():
        if name in {field.name for field in fields(kind)}:
            return f"{name} belongs in [{table}]"
    near = difflib.get_close_matches(name, known, 1)
    return (
        f"did you mean {pattern.format(*near)}?" if near else f"choose one of {', '.join(map(pattern.format, known))}"
    )
