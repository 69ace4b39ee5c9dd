"""``charloom recipes``, and recipes as the defaults of the options of ``charloom train`` and ``sweep``."""

import contextlib
import itertools
import warnings
from pathlib import Path
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from charloom.errors import CharloomError, SettingsError
from charloom.settings.recipes import AUTO, Recipe, load_recipe, read_recipe, recipe_names
from charloom.text.named_corpora import default_recipe
from charloom_codec.cli import screen

GIVEN = "given"
"""Name of the parameter of ``train`` for the names of settings that are on the command line."""


def recipes(name: Annotated[str | None, Parameter(show_default=False)] = None, /) -> None:
    """List the recipes, or print a recipe with the reasons for its values.

    Parameters
    ----------
    name
        Name of a recipe, or path of a .toml file, which is validated first. Default: list all recipes.
    """
    out = screen.results()
    if name is not None:
        load_recipe(name)  # raises the errors that training would raise
        out.print(read_recipe(name), end="")
        return
    # The first sentence of the comment at the top of a recipe is its description.
    for recipe in recipe_names():
        comment = itertools.takewhile(lambda line: line.startswith("# "), read_recipe(recipe).splitlines())
        sentence, *_ = " ".join(line.removeprefix("# ") for line in comment).split(". ")
        out.print(f"{recipe:18s} {sentence.rstrip('.')}")


def recipe_defaults(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Sets the defaults of ``train`` and ``sweep``: those of the recipe, the resumed run or the initial model."""
    if commands not in (("train",), ("sweep",)):
        return
    given = {argument.name: [token.value for token in argument.tokens] for argument in arguments}
    recipe = Recipe()
    if resume := given.get("--resume"):
        from charloom.runs.start import recipe_of_run

        # Errors and warnings are suppressed here because the command reads the same files and reports them.
        with contextlib.suppress(CharloomError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recipe = recipe_of_run(Path(resume[-1]))
        source = f"the run in {resume[-1]}"
    else:
        init_from = given.get("--init-from")
        default = default_recipe(given["CORPUS"], fits=commands == ("train",) and not init_from)
        recipe = load_recipe((given["--recipe"] or [default])[-1])
        if recipe.name == AUTO and commands == ("sweep",):
            raise SettingsError(
                "a sweep compares runs with fixed settings: pass another recipe, such as own-text",
                setting="recipe",
                value=AUTO,
            )
        source = f"recipe {recipe.name}"
        if init_from:
            from charloom.models.language_model import LanguageModel
            from charloom.runs.start import fixed_settings

            with contextlib.suppress(CharloomError):
                recipe = recipe.with_changes(fixed_settings(LanguageModel.load(Path(init_from[-1]))))
    # cyclopts would pass None and () on as given values; without an entry the default of the dataclass holds.
    settings = {name: value for name, value in recipe.values.items() if value is not None and value != ()}
    if commands == ("train",):
        # Once defaults are filled in, a command cannot distinguish them from values on the command line.
        options = {name.removeprefix("--").replace("-", "_") for name, values in given.items() if values}
        settings[GIVEN] = tuple(sorted(recipe.given | options & recipe.values.keys()))
    Dict(settings, use_commands_as_keys=False, source=source)(app, commands, arguments)
