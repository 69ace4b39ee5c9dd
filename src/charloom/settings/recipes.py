"""Recipes: small TOML files of settings, a reason beside each number."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from charloom.arguments import check_type
from charloom.errors import SettingsError
from charloom.settings.corpus import CorpusSettings
from charloom.settings.model import ModelSettings
from charloom.settings.names import TABLES, find_setting
from charloom.settings.training import TrainingSettings

SECTION = "section"
OWN_TEXT = "own-text"


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run is set up with."""

    corpus: CorpusSettings
    model: ModelSettings
    training: TrainingSettings

    def with_changes(self, changes: Mapping[str, Any]) -> "Recipe":
        """The same but for some settings, by name. Raises SettingsError for one that is not there or cannot be."""
        tables: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            setting = find_setting(name)
            tables.setdefault(setting.table, {})[setting.name] = value
        return replace(self, **{table: replace(getattr(self, table), **some) for table, some in tables.items()})


def recipe_names() -> list[str]:
    """The recipes that charloom ships."""
    files = resources.files("charloom.recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def read_recipe(name: str) -> str:
    """The text of a recipe, comments and all: one that charloom ships, or a path that ends in ``.toml``."""
    if not name.endswith(".toml"):
        if name not in recipe_names():
            raise SettingsError(
                f"no recipe {name!r}: choose one of {', '.join(recipe_names())}, or give the path of a .toml file"
            )
        return (resources.files("charloom.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"recipe {name}: {error}") from None


def parse_recipe(name: str) -> dict[str, dict[str, Any]]:
    """The tables of a recipe, their names and settings checked."""
    try:
        tables = tomllib.loads(read_recipe(name))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"recipe {name}: {error}") from None
    for table, values in tables.items():
        if table not in TABLES or not isinstance(values, dict):
            raise SettingsError(f"recipe {name}: no table [{table}]; there are {', '.join(TABLES)}")
        known = {field.name for field in fields(TABLES[table])}
        if unknown := sorted(set(values) - known):
            raise SettingsError(f"recipe {name}: [{table}] has no setting {unknown[0]}; it has {', '.join(known)}")
    return tables


def load_recipe(name: str) -> Recipe:
    """A recipe by name (``section``, ``own-text``, ...) or by the path of a ``.toml`` file.

    Raises SettingsError for a recipe that is not there, or that sets what cannot be set.
    """
    check_type(str, name=name)
    tables = parse_recipe(name)
    try:
        return Recipe(**{table: kind(**tables.get(table, {})) for table, kind in TABLES.items()})
    except SettingsError as error:
        raise SettingsError(f"recipe {name}: {error}") from None
