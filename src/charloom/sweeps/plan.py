"""The runs of a sweep, and the keys by which equal runs are recognized."""

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from charloom.errors import Argument, SettingsError, describe_os_error, format_parts, join_with_commas
from charloom.settings.names import Value, find_setting
from charloom.settings.recipes import Recipe, as_key, parse_toml
from charloom.settings.training import WITHOUT_EFFECT
from charloom_codec.arguments import TEXT, check_type

Combination: TypeAlias = dict[str, Value]
"""Values of settings, by name."""

_MAX_NAME = 100
"""Maximum number of characters of a combination in a folder name: file systems limit names to 255 bytes."""
_DEFAULT_VALUES = Recipe().values


@dataclass(frozen=True)
class PlannedRun:
    """A combination with a seed.

    Attributes:
        recipe: All settings of the run.
        name: Name of its folder: the values of the varied settings and the first digits of the recipe's key.
    """

    recipe: Recipe
    name: str


def find_varied_setting(name: str) -> str:
    """Returns the Python name of a setting. Raises SettingsError if it is unknown or cannot be varied."""
    name = find_setting(name)
    if name == "seed":
        raise SettingsError(
            *("cannot be varied; use ", Argument("num_seeds"), " to train each combination with several seeds"),
            setting=name,
        )
    # All values would train the same weights, and have the same key.
    if name in WITHOUT_EFFECT:
        raise SettingsError("cannot be varied, because it does not affect the trained weights", setting=name)
    return name


def grid(vary: Mapping[str, Sequence[Value]]) -> list[Combination]:
    """Returns all combinations of values. Raises SettingsError for a setting that cannot be varied or has no values."""
    names = [find_varied_setting(name) for name in vary]
    # hidden-size and hidden_size are the same setting, so that equal names are possible in a mapping.
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError("appears twice; pass all its values in one list", setting=repeated[0])
    for name, values in zip(names, vary.values(), strict=True):
        # A string is a sequence, too: its characters would become the values.
        if not isinstance(values, Sequence) or isinstance(values, TEXT) or not values:
            raise SettingsError("it must be a list of at least one value", setting=name, value=values)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*vary.values())]


def check_combinations(combinations: Sequence[Mapping[str, Value]]) -> list[Combination]:
    """Returns the combinations with checked Python names. Raises SettingsError if there are none."""
    if not combinations:
        raise SettingsError("it must contain at least one combination", setting="vary", value=combinations)
    for one in combinations:
        check_type(Mapping, combination=one)
    return [{find_varied_setting(name): value for name, value in one.items()} for one in combinations]


def read_combinations(file: Path, more: Sequence[Combination], base: Recipe) -> list[Combination]:
    """Reads combinations from a TOML file.

    Args:
        file: File with a table ``[[combination]]`` for each combination.
        more: Combinations to merge with each of the file's; ``[{}]`` for none.
        base: Recipe that the combinations change.

    Returns:
        Each combination of the file merged with each of ``more``.

    Raises:
        SettingsError: The file cannot be read, or a combination in it is invalid.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {describe_os_error(error)}") from None
    data = parse_toml(text, str(file))
    found = data.get("combination")
    tables = found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else []
    # Any other key is most likely a misspelled table, whose settings would be ignored.
    if list(data) != ["combination"] or not tables:
        raise SettingsError(
            f"{file}: it must consist of [[combination]] tables, each with the settings of a combination"
        )
    combinations = []
    for number, settings in enumerate(tables, 1):
        try:
            (one,) = check_combinations([settings])
            for another in more:
                combinations.append(one | another)
                base.with_changes(one | another)
        except SettingsError as error:
            # An invalid value in ``more`` is not an error of the file: ``plan_runs`` raises it later, without the file.
            if error.setting not in more[0]:
                raise SettingsError(f"{file}: combination {number}: ", format_parts(error.parts, as_key)) from error
    return combinations


def plan_runs(base: Recipe, combinations: Sequence[Combination], seeds: Sequence[int]) -> list[PlannedRun]:
    """Returns the runs, each once: all combinations with the first seed, then with the next.

    Raises SettingsError, which names the combination, if one is invalid.
    """
    planned: dict[str, PlannedRun] = {}
    # Seeds are the outer loop, so that an interrupted sweep has results for all combinations.
    for seed, combination in itertools.product(seeds, combinations):
        with add_combination_to_errors(combination):
            recipe = base.with_changes(combination | {"seed": seed})
        key = settings_key(recipe)
        # A combination may be listed twice, or differ from another by a default that it states.
        planned.setdefault(key, PlannedRun(recipe, _folder_name(combination, seed, key)))
    return list(planned.values())


@contextlib.contextmanager
def add_combination_to_errors(combination: Combination) -> Iterator[None]:
    """Adds the combination to a SettingsError raised in the block, unless the error names its only setting already."""
    try:
        yield
    except SettingsError as error:
        # An error that names the only varied setting is clear without the combination.
        if not combination or [*combination] == [error.setting]:
            raise
        values = (Argument(name, value) for name, value in combination.items())
        raise SettingsError(*error.parts, " (in the combination ", *join_with_commas(values), ")") from None


def without_display(recipe: Recipe) -> Recipe:
    """Returns the recipe without samples, with one thread unless it sets a number, and defaults for display."""
    # Settings without effect on the weights must not change ``settings_key``.
    defaults = {name: _DEFAULT_VALUES[name] for name in WITHOUT_EFFECT}
    return recipe.with_changes(defaults | {"threads": recipe.training.threads or 1, "sample_every": 0})


def settings_key(recipe: Recipe) -> str:
    """Returns a hash of all settings that differ from their defaults."""
    # Without the defaults, a setting that a later version adds changes no key, and old runs are still found.
    changed = {name: value for name, value in recipe.values.items() if value != _DEFAULT_VALUES[name]}
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:16]


def _folder_name(combination: Combination, seed: int, key: str) -> str:
    label = ",".join(f"{name}={value}" for name, value in {**combination, "seed": seed}.items())
    plain = re.sub(r"[^\w.,=+-]", "_", label)[:_MAX_NAME]
    # The key distinguishes combinations whose names are equal after truncation or replacement.
    return f"{plain}-{key[:8]}"
