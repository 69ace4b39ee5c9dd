"""``charloom recipes``, and how a recipe's settings become the defaults of ``charloom train`` and ``sweep``."""

import contextlib
import itertools
import warnings
from pathlib import Path
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from charloom.cli import screen
from charloom.errors import CharloomError
from charloom.settings.recipes import Recipe, load_recipe, read_recipe, recipe_names
from charloom.text.named_corpora import default_recipe


def recipes(name: Annotated[str | None, Parameter(show_default=False)] = None, /) -> None:
    """List the recipes, or print one with the reason beside each number.

    Parameters
    ----------
    name
        A recipe, or the path of a .toml file of your own.
    """
    out = screen.results()
    if name is not None:
        out.print(read_recipe(name), end="")
        return
    for recipe in recipe_names():
        comment = itertools.takewhile(lambda line: line.startswith("# "), read_recipe(recipe).splitlines())
        sentence, *_ = " ".join(line.removeprefix("# ") for line in comment).split(". ")
        out.print(f"{recipe:18s} {sentence.rstrip('.')}")


def recipe_defaults(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Gives ``train`` and ``sweep`` settings wherever the command line sets none.

    The recipe's, or those of what training goes on from.
    """
    if commands not in (("train",), ("sweep",)):
        return
    given = {argument.name: [token.value for token in argument.tokens] for argument in arguments}
    recipe = Recipe()
    if resume := given.get("--resume"):
        from charloom.runs.start import recipe_of_run

        # What goes wrong, the command will meet and say too.
        with contextlib.suppress(CharloomError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recipe = recipe_of_run(Path(resume[-1]))
        source = f"the run in {resume[-1]}"
    else:
        recipe = load_recipe((given["--recipe"] or [default_recipe(given["CORPUS"])])[-1])
        source = f"recipe {recipe.name}"
        if init_from := given.get("--init-from"):
            from charloom.models.language_model import LanguageModel
            from charloom.runs.start import fixed_settings

            with contextlib.suppress(CharloomError):
                recipe = recipe.with_changes(fixed_settings(LanguageModel.load(Path(init_from[-1]))))
    settings = {name: value for name, value in recipe.values.items() if value is not None and value != ()}
    Dict(settings, use_commands_as_keys=False, source=source)(app, commands, arguments)
