"""Loads many damaged folders, each in a child process whose time and memory the kernel limits.

Arguments: a folder with ``model``, ``run`` and ``other``, the number of cases, and the first seed. Prints, as JSON, the
counts of the outcomes, and the cases that failed.
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

# Imported here, so that no child has to; PyTorch's optimizers import its compiler.
import torch._dynamo  # noqa: F401

import charloom.runs.start
import charloom.training.trainer  # noqa: F401
from charloom import CharloomError, LanguageModel, generate, newest_checkpoint
from charloom.cli.app import run_command_line
from charloom.cli.interruption import Interruption
from charloom.runs.folder import RunFolder
from charloom.training.events import StopTraining
from hostile_folders import PRECIOUS, damage_folder
from limited_child import in_child

_ACCIDENTS = ("bytes of", "mixed_up of", "no_file of", "lock")
"""Kinds of damage of ``hostile_folders`` that do not adapt checksums."""
_SECONDS = 10
_MEMORY = 256 << 20


def _load_model(folder: Path, sound: Path, text: Path, *, by_accident: bool) -> str:
    """Loads a model, generates and compresses with it; by the command line, too.

    ``sound`` is the undamaged folder: after an accident, it must decompress whatever can be compressed.
    """
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
    outcomes = [outcome]
    for mode in ([], ["--fast"]):
        packed, again = folder / "packed.loom", folder / "again"
        status = run_command_line(["compress", str(text), "-fm", str(folder), "-o", str(packed), *mode])
        assert status in (0, 1), f"status {status} of compress"
        outcomes.append("refused" if status else "compressed")
        if status == 0:
            for reader in [folder, *([sound] if by_accident else [])]:
                status = run_command_line(["decompress", str(packed), "-fm", str(reader), "-o", str(again)])
                assert status == 0, f"status {status} of decompress with {reader.name}"
                assert again.read_bytes() == text.read_bytes()
    return ", ".join(outcomes)


def _resume_run(folder: Path) -> str:
    """Resumes a run for a step, by the library and by the command line."""

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
    assert status in (0, 1, 2, 130), f"status {status}"
    return f"{outcome}, {'resumed' if status == 0 else 'refused'}"


def _in_one_line(error: CharloomError) -> str:
    if len(str(error).splitlines()) != 1 or len(str(error)) > 2000:
        raise AssertionError(f"not one readable line: {str(error)[:500]}")
    return type(error).__name__


def _silently(act: Callable[[Path], str], folder: Path) -> str:
    """Discards all output of ``act``."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return act(folder)


def main() -> None:
    """Alternates between models and checkpoints."""
    home, cases, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    precious = home / PRECIOUS
    precious.write_text("a text\n" * 40)
    before = precious.read_bytes()
    for seed in range(first, first + cases):
        name = ("model", "run")[seed % 2]
        folder = home / f"case{seed}"
        shutil.copytree(home / name, folder)
        done = damage_folder(folder, home / "other", random.Random(seed))
        act: Callable[[Path], str] = _resume_run
        if name == "model":
            # Another model's integers are valid: the network alone compresses with them, and names their model.
            accident = done.startswith(_ACCIDENTS) and done != "mixed_up of codec.safetensors"
            act = partial(_load_model, sound=home / "model", text=home / "fable.txt", by_accident=accident)
        verdict = in_child(partial(_silently, act, folder), seconds=_SECONDS, longest=6 * _SECONDS, memory=_MEMORY)
        if precious.read_bytes() != before:
            wrong.append(f"seed {seed}, {name}, {done}: what a link led to was changed")
            precious.write_bytes(before)
        if verdict.startswith(("crash", "killed", "?")):
            wrong.append(f"seed {seed}, {name}, {done}: {verdict}")
        outcomes[f"{name}: {verdict.partition(':')[0]}"] += 1
        shutil.rmtree(folder)
    print(json.dumps({"outcomes": dict(sorted(outcomes.items())), "wrong": wrong}))  # noqa: T201


if __name__ == "__main__":
    main()
