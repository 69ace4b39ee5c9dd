"""Messages of the library: parts with fields, formatted by each front end; no code parses or edits their text."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import charloom
import charloom_codec
from charloom.errors import Argument, SettingsError, as_keyword, format_parts
from charloom.settings import (
    CorpusSettings,
    ForecastSettings,
    ModelSettings,
    SamplingSettings,
    TableSettings,
    TrainingSettings,
)
from charloom.settings.recipes import as_key
from charloom_codec.cli import screen

_SOURCES = (Path(charloom_codec.__file__).parent, Path(charloom.__file__).parent)
_GROUPS = (CorpusSettings, ForecastSettings, ModelSettings, SamplingSettings, TableSettings, TrainingSettings)
_SETTINGS = sorted({field.name for group in _GROUPS for field in fields(group)})


@pytest.mark.parametrize(
    ("argument", "keyword", "option", "key"),
    [
        (Argument("num_steps"), "num_steps", "--num-steps", "num_steps"),
        (Argument("unit", "byte"), "unit='byte'", "--unit byte", 'unit = "byte"'),
        (Argument("decimal", ","), "decimal=','", "--decimal ','", None),
        (Argument("thousands", "'"), 'thousands="\'"', "--thousands ''\"'\"''", None),
        (Argument("resume", "a.b/c-1"), "resume='a.b/c-1'", "--resume a.b/c-1", None),
        (Argument("resume", "a."), "resume='a.'", "--resume 'a.'", None),
        (Argument("patience", 1), "patience=1", "--patience 1", "patience = 1"),
        (Argument("force", True), "force=True", "--force", "force = true"),
        (Argument("resume", "a b", "RunPlan"), "RunPlan(resume='a b')", "charloom train --resume 'a b'", None),
        (Argument("vary", {"num_steps": [1, None]}), "vary={'num_steps': [1, None]}", "--vary num-steps=1,none", None),
        (Argument("lowercase", False), "lowercase=False", "--no-lowercase", "lowercase = false"),
    ],
)
def test_names_of_an_argument(argument: Argument, keyword: str, option: str, key: str | None) -> None:
    assert (as_keyword(argument), screen.as_option(argument)) == (keyword, option)
    assert key in (None, as_key(argument))  # None: not a setting of a recipe


@pytest.mark.parametrize("place", ["runs/lr=3/corpus.txt", "batch_size is 3", "unit='byte'", "--x {num_steps}"])
def test_names_of_files_are_shown_unchanged(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen.show_error(f"{place}: no such file")
    assert capsys.readouterr().err == f"charloom: error: {place}: no such file\n"


@pytest.mark.parametrize("group", _GROUPS)
def test_an_invalid_setting_is_a_field(group: Any) -> None:
    for field in fields(group):
        with pytest.raises(SettingsError) as caught:
            group(**{field.name: {}})
        assert caught.value.setting == field.name, field.name
        assert str(caught.value).startswith(f"{field.name} is {{}}: ")
        assert format_parts(caught.value.parts, screen.as_option).startswith(
            f"--{field.name.replace('_', '-')} is {{}}: "
        )


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in _SOURCES:
        for file in sorted(folder.rglob("*.py")):
            yield file.relative_to(folder), ast.parse(file.read_text(encoding="utf-8"))


def _messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields the texts of charloom's errors and warnings in a module."""
    known = {name for name in vars(charloom.errors) if name.endswith(("Error", "Warning"))}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        names = {node.id for node in [call.func, *call.args] if isinstance(node, ast.Name)}
        if names & known:
            in_arguments = {id(part) for node in ast.walk(call) if _makes_argument(node) for part in ast.walk(node)}
            values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "hint")]
            for node in (node for value in values for node in ast.walk(value)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in in_arguments:
                    yield node.lineno, node.value


def _makes_argument(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Argument"


def test_the_library_names_settings_as_arguments() -> None:
    """The texts of its messages contain neither options nor names of settings: other front ends have others."""
    names = "|".join(name for name in _SETTINGS if "_" in name)
    single = "|".join(name for name in _SETTINGS if "_" not in name)
    wrong = re.compile(rf"(^|\W)--[a-z]|\b({names})\b|\b({single})=|^({single}) is ")
    checked, found = 0, []
    for file, tree in _modules():
        if file.parts[0] != "cli":  # the command line's own messages
            for line, text in _messages(tree):
                checked += 1
                if wrong.search(text):
                    found.append(f"{file}:{line}: {text!r}")
    assert checked > 300
    assert not found


def test_no_code_parses_the_text_of_a_message() -> None:
    """Neither a search in ``str(error)`` nor an edit; except errors of PyTorch and other libraries."""
    foreign = {
        "cli/command_line.py": "PyTorch has no class of errors for memory that it cannot get on the CPU",
        "models/device.py": "the first sentence of PyTorch's reason",
        "training/processes.py": "gloo's errors are RuntimeErrors; the first sentence of its reason",
        "text/compressed_inputs.py": "decompressors' errors for memory",
        "text/documents.py": "the start of a reason of datasets'",
        "runs/trackers.py": "a reason of TensorBoard's or Weights & Biases', in one line",
        "sweeps/worker.py": "the first line of an unexpected error",
    }
    found = set()
    for file, tree in _modules():
        for node in ast.walk(tree):
            texts = [part for part in ast.walk(node) if _is_text_of_error(part)]
            reads = isinstance(node, ast.Compare) and any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                edits = {
                    "replace",
                    "partition",
                    "split",
                    "splitlines",
                    "sub",
                    "search",
                    "match",
                    "lower",
                    "removeprefix",
                }
                reads = node.func.attr in edits
            if texts and reads:
                found.add(file.as_posix())
    assert found == {*foreign}


def _is_text_of_error(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args):
        return False
    return isinstance(node.args[0], ast.Name) and node.args[0].id in ("error", "err", "e", "exception")
