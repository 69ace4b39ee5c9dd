"""The options of all commands: the same name and type for the same thing."""

import re
from collections import defaultdict
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import cyclopts
import pytest

from charloom.cli.app import app

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command_line.md"
_COMMANDS = [name for name in app if not name.startswith("-")]


def _arguments(command: str) -> list[cyclopts.Argument]:
    return [argument for argument in app[command].assemble_argument_collection() if argument.names != ("*",)]


def _value_type(hint: Any) -> type:
    """Returns the type of one value: a list's element type, the str of a choice; files may be standard output, too."""
    if get_origin(hint) is Literal:
        return str
    kinds = [kind for kind in get_args(hint) if kind not in (NoneType, ...)] or [hint]
    kind = kinds[0]
    if kinds == [str, int]:  # a column, by its name or its number
        return str
    assert len(kinds) == 1
    return _value_type(kind) if get_origin(kind) else str if kind is Path else kind


def _vocabulary() -> dict[str, str]:
    """Returns the table of the page: each option name and the type of its value."""
    table = _PAGE.read_text(encoding="utf-8").partition("| name |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    return {word: takes.strip() for words, takes in rows for word in re.findall(r"`([^`]+)`", words)}


def test_a_name_has_one_type_and_one_short_form() -> None:
    forms = defaultdict(set)
    for command in _COMMANDS:
        for argument in _arguments(command):
            name, *others = argument.names
            short = tuple(other for other in others if not other.startswith("--"))
            # Only compressors have -T.
            forms[name].add((_value_type(argument.hint), *(() if name == "--threads" else short)))
    assert {name: found for name, found in forms.items() if len(found) > 1} == {}


def test_a_short_form_has_one_long_form() -> None:
    long = defaultdict(set)
    for command in _COMMANDS:
        for argument in _arguments(command):
            for name in argument.names:
                if re.fullmatch(r"-\w", name):
                    long[name].add(argument.names[0])
    of_compression = {"-c": "--stdout", "-d": "--decompress", "-l": "--list", "-q": "--quiet", "-r": "--recursive"}
    of_compression |= {"-S": "--suffix", "-t": "--test", "-T": "--threads", "-v": "--verbose", "-k": "--keep"}
    every = {"-o": "--output", "-f": "--force", "-m": "--model"} | of_compression
    assert dict(long) == {short: {name} for short, name in every.items()}


def test_the_page_lists_every_shared_option_and_no_other() -> None:
    """An option of several commands is in the table; an option with a synonym in the table is in no command."""
    uses = defaultdict(list)
    for command in _COMMANDS:
        for argument in _arguments(command):
            uses[argument.names[0]].append(command)
    settings = {name for name, commands in uses.items() if commands == ["train", "sweep"]}
    shared = {name for name, commands in uses.items() if len(commands) > 1} - settings
    words = _vocabulary()
    assert shared <= words.keys()
    assert words.keys() <= uses.keys() | {"-o", "-f", "-m"}


@pytest.mark.parametrize("command", _COMMANDS)
def test_an_option_is_named_for_one_value(command: str) -> None:
    """A repeatable option has a singular name."""
    for argument in _arguments(command):
        name = argument.names[0]
        if name.startswith("--") and get_origin(argument.hint) is tuple:
            assert not re.search(r"(?<!s)s$|es$", name), name


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_model_is_the_first_argument_unless_files_are(command: str) -> None:
    names = [argument.names[0] for argument in _arguments(command)]
    if "--model" in names:
        assert names[0] == "FILES"
        assert "MODEL" not in names
    elif "MODEL" in names:
        assert names[0] == "MODEL"
