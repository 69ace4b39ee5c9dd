"""``charloom recipes``, and how a recipe's settings become the defaults of ``charloom train`` and ``sweep``."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from charloom.cli import screen
from charloom.settings.recipes import OWN_TEXT, SECTION, parse_recipe, read_recipe, recipe_names
from charloom.text.named_corpora import TIME_MACHINE


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
        first_comment = read_recipe(recipe).splitlines()[0].removeprefix("# ")
        out.print(f"{recipe:18s} {first_comment}")


def usual_recipe(corpus: Sequence[str]) -> str:
    """The recipe where none is named: the section's for its own text, one for every size of text for others."""
    return SECTION if tuple(corpus) in ((), (TIME_MACHINE,)) else OWN_TEXT


def recipe_defaults(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Gives ``train`` and ``sweep`` the recipe's settings wherever the command line sets none."""
    if commands not in (("train",), ("sweep",)):
        return
    given = {argument.name: [token.value for token in argument.tokens] for argument in arguments}
    name = (given["--recipe"] or [usual_recipe(given["CORPUS"])])[-1]
    settings = {key: value for table in parse_recipe(name).values() for key, value in table.items()}
    Dict(settings, use_commands_as_keys=False, source=f"recipe {name}")(app, commands, arguments)
