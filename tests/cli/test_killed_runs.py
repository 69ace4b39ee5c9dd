"""Runs that are killed (SIGKILL) at random moments, also within the write of a checkpoint, and resumed to the end."""

import dataclasses
import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Imported before the forks: imports take most of a short run's time. PyTorch's optimizers import its compiler.
import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import pytest
import torch._dynamo  # noqa: F401

import charloom.compression.preparation
import charloom.training.trainer  # noqa: F401
from charloom import Checkpoint, LanguageModel
from charloom.cli.app import run_command_line
from interrupted_runs import KINDS, settings_of_kind
from process import call, start, wait_until

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 12


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fable.txt").write_text(_TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _options(kind: str, **changes: Any) -> list[str]:
    """Returns the options as command-line arguments."""
    words = ["--recipe", "section"]
    for settings in settings_of_kind(kind, checkpoint_steps=3, **changes):
        for field in dataclasses.fields(settings):
            value = getattr(settings, field.name)
            if value != field.default:
                name = "--" + field.name.replace("_", "-")
                words += [name] if value is True else [name, str(value)]
    return words


def _start(words: list[str]) -> int:
    """Starts the command in a fork of this process, which has imported PyTorch already; returns its process id."""
    number = os.fork()
    if number:
        return number
    status = 70
    try:
        with Path("output").open("ab") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        status = run_command_line(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _ends_within(number: int, seconds: float, until_it_writes_in: Path | None = None) -> bool:
    """Returns True if the child ended by itself. Kills it otherwise, or as soon as it is seen to write a checkpoint."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or (
        until_it_writes_in is not None and not _has_partial_checkpoint(until_it_writes_in)
    ):
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, Path("output").read_text()
            return True
        if time.monotonic() < until:
            time.sleep(0.002)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return False


def _has_partial_checkpoint(folder: Path) -> bool:
    """Returns True if a checkpoint is being written, or was when its writer was killed."""
    try:
        return any(name.startswith(".step-") for name in os.listdir(folder / "checkpoints"))  # noqa: PTH208 - quick
    except OSError:
        return False


@dataclass
class _Attempts:
    kills: int = 0
    within_a_write: int = 0


def _train_through_kills(
    folder: Path, options: list[str], longest: float, most: int, source: random.Random
) -> _Attempts:
    """Kills the run at random moments, at most ``most`` times, then lets it end."""
    done = _Attempts()
    while True:
        started = bool(_checkpoints(folder))
        words = ["--resume", str(folder)] if started else ["fable.txt", *options, "--output", str(folder)]
        # A partial file of the run before would be taken for this one's: only without one is a write waited for.
        aimed = source.random() < 0.5 and not _has_partial_checkpoint(folder)
        number = _start(["train", *words])
        last = done.kills >= most
        if _ends_within(number, 120 if last else source.uniform(0.0, longest), folder if aimed and not last else None):
            return done
        done.kills += 1
        done.within_a_write += _has_partial_checkpoint(folder)
        for file in _checkpoints(folder):
            Checkpoint.read(file)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoints/*.checkpoint"))


def _results_in(folder: Path) -> tuple[bytes, list[Any], dict[str, Any]]:
    """Returns the results of a run, without times."""
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    measured = [(r["epoch"], r["perplexity"], r["validation_perplexity"]) for r in history]
    config = json.loads((folder / "config.json").read_text())
    for name in ("seconds", "chars_per_second"):
        del config["provenance"]["results"][name]
    return (folder / "model.safetensors").read_bytes(), measured, config


def _uninterrupted(options: list[str]) -> tuple[Any, float]:
    """Returns the results of a run that is not killed, and its duration in seconds."""
    start_time = time.monotonic()
    assert _ends_within(_start(["train", "fable.txt", *options, "--output", "whole"]), 120)
    return _results_in(Path("whole")), time.monotonic() - start_time


def _assert_no_temporary_file_is_left(folder: Path) -> None:
    hidden = [file.name for file in folder.rglob(".*")]
    assert hidden == []
    assert len(_checkpoints(folder)) == 1


def test_killed_a_few_times(home: Path) -> None:
    options = _options("dropout, random order")
    expected, seconds = _uninterrupted(options)
    done = _train_through_kills(home / "model", options, 0.3 * seconds, 4, random.Random(1))
    assert done.kills
    assert _results_in(home / "model") == expected
    _assert_no_temporary_file_is_left(home / "model")


def test_killed_as_a_separate_process(home: Path) -> None:
    """The command is repeated with --resume, from any folder, as a user would do."""
    options = [*_options("dropout", epochs=12), "--prefix", "a fox"]
    process = start(home, "train", "fable.txt", *options, "--output", "model")
    wait_until((home / "model" / "history.jsonl").exists, process)
    process.kill()
    process.communicate()
    (home / "elsewhere").mkdir()
    out = call(home / "elsewhere", "train", "--resume", "../model").done()
    assert "run     resumed at epoch " in out
    assert "validation" in out
    expected, _ = _uninterrupted(options)
    assert _results_in(home / "model") == expected


@pytest.mark.slow
def test_fifty_runs(home: Path) -> None:
    """All end with the results of an uninterrupted run; every checkpoint is readable; some kills hit a write."""
    attempts: list[_Attempts] = []
    for i in range(50):
        kind = sorted(KINDS)[i % len(KINDS)]
        options = _options(kind)
        whole = home / kind
        if not whole.exists():
            _, seconds = _uninterrupted(options)
            (home / "whole").rename(whole)
        folder = home / f"model{i}"
        attempts.append(_train_through_kills(folder, options, seconds, 4, random.Random(i)))
        assert _results_in(folder) == _results_in(whole), (i, kind)
        _assert_no_temporary_file_is_left(folder)
        LanguageModel.load(folder)
    total = _Attempts(sum(a.kills for a in attempts), sum(a.within_a_write for a in attempts))
    print(f"50 runs, {total.kills} kills, {total.within_a_write} of them within a write")  # noqa: T201
    assert total.kills > 100
    assert total.within_a_write > 20
