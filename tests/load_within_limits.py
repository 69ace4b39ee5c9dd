"""A program of its own: loads many damaged folders, each in a child that the kernel keeps to its time and memory.

Its arguments: a folder with ``model``, ``run`` and ``other``, how many cases, and the first seed. It prints, as JSON,
how the cases ended, as counts, and those that ended otherwise than they may.
"""

import collections
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Here, so that no child has to; PyTorch's optimizers import its compiler.
import torch._dynamo  # noqa: F401

import charloom.training.preflight
import charloom.training.trainer  # noqa: F401
from charloom import CharloomError, LanguageModel, generate, newest_checkpoint
from charloom.cli.app import run_command_line
from charloom.cli.interruption import Interruption
from charloom.training.events import StopTraining
from charloom.training.run_folder import RunFolder
from hostile_folders import damage_folder
from limited_child import in_child

_SECONDS = 10
_MEMORY = 256 << 20


def _load_model(folder: Path) -> str:
    """Reads a model, and writes with it; by the command line, too."""
    try:
        model = LanguageModel.load(folder)
        prefix: Any = model.vocabulary.decode([len(model.vocabulary) - 1])
        generate(model, prefix, 3)
        outcome = "loaded"
    except CharloomError as error:
        outcome = _in_one_line(error)
    for words in (["info", str(folder)], ["generate", str(folder), "--num-chars", "3"]):
        status = run_command_line(words)
        assert status in (0, 1), f"status {status} of {words[0]}"
    return outcome


def _resume_run(folder: Path) -> str:
    """Goes on with a run for a step, by the library and by the command line."""

    def stop(*_: Any) -> None:
        raise StopTraining

    Interruption.__call__ = stop  # type: ignore[assignment,method-assign]
    RunFolder.finish = lambda *_: None  # type: ignore[method-assign]
    try:
        newest_checkpoint(folder).make_model()
        outcome = "read"
    except CharloomError as error:
        outcome = _in_one_line(error)
    status = run_command_line(["train", "--resume", str(folder)])
    assert status in (0, 1, 130), f"status {status}"
    return f"{outcome}, {'resumed' if status == 0 else 'refused'}"


def _in_one_line(error: CharloomError) -> str:
    if len(str(error).splitlines()) != 1 or len(str(error)) > 2000:
        raise AssertionError(f"not one line that can be read: {str(error)[:500]}")
    return type(error).__name__


def _silently(act: Callable[[Path], str], folder: Path) -> str:
    """What it says by itself is not wanted."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return act(folder)


def main() -> None:
    """Every other case is of a model, the others of checkpoints."""
    home, cases, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    for seed in range(first, first + cases):
        name, act = (("model", _load_model), ("run", _resume_run))[seed % 2]
        folder = home / f"case{seed}"
        shutil.copytree(home / name, folder)
        done = damage_folder(folder, home / "other", random.Random(seed))
        verdict = in_child(partial(_silently, act, folder), seconds=_SECONDS, longest=6 * _SECONDS, memory=_MEMORY)
        if verdict.startswith(("crash", "killed", "?")):
            wrong.append(f"seed {seed}, {name}, {done}: {verdict}")
        outcomes[f"{name}: {verdict.partition(':')[0]}"] += 1
        shutil.rmtree(folder)
    print(json.dumps({"outcomes": dict(sorted(outcomes.items())), "wrong": wrong}))  # noqa: T201


if __name__ == "__main__":
    main()
