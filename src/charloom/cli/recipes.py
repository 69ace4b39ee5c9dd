"""``charloom recipes``, and how a recipe's settings become the defaults of ``charloom train`` and ``sweep``."""

import contextlib
import itertools
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from charloom.cli import screen
from charloom.errors import CharloomError
from charloom.settings.recipes import parse_recipe, read_recipe, recipe_names
from charloom.text.named_corpora import usual_recipe


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
    if resume := given.get("--resume"):
        settings, source = {}, f"the run in {resume[-1]}"
        with contextlib.suppress(CharloomError):  # the command will meet it too, and say it
            settings = _settings_of_run(Path(resume[-1]))
    else:
        source = (given["--recipe"] or [usual_recipe(given["CORPUS"])])[-1]
        settings = {key: value for table in parse_recipe(source).values() for key, value in table.items()}
        if init_from := given.get("--init-from"):
            with contextlib.suppress(CharloomError):
                settings |= _settings_of_model(Path(init_from[-1]))
        source = f"recipe {source}"
    settings = {key: value for key, value in settings.items() if value is not None and value != ()}
    Dict(settings, use_commands_as_keys=False, source=source)(app, commands, arguments)


def _settings_of_run(path: Path) -> dict[str, Any]:
    from charloom.runs.start import recipe_of_run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the command will say it again
        recipe = recipe_of_run(path)
    model = asdict(recipe.model)
    del model["init_sigma"]
    return asdict(recipe.corpus) | model | asdict(recipe.training)


def _settings_of_model(path: Path) -> dict[str, Any]:
    from charloom.models.language_model import LanguageModel
    from charloom.runs.start import fixed_settings

    return fixed_settings(LanguageModel.load(path))
