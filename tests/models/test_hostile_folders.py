"""Damaged model folders and checkpoints load or raise a clear error, without a hang, a crash, or much memory."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charloom import CheckpointFolder
from process import SMALL, call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space need Linux")
_SUPPORT = Path(__file__).parents[1] / "support"
_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 5


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creates a model, a run in the middle of an epoch with a checkpoint, and another model."""
    folder = tmp_path_factory.mktemp("folders")
    (folder / "fable.txt").write_text(_TEXT)
    options = [*SMALL, "--prefix", "A fox", "--checkpoint-steps", "3", "--validation-fraction", "0.2"]
    call(folder, "train", "fable.txt", *options, "--epochs", "2", "--output", "model").done()
    (folder / "model" / "checkpoints").rename(folder / "finished")
    other = ["--cell", "lstm", "--hidden-size", "4", "--num-steps", "10", "--epochs", "1", "--prefix", "A fox"]
    call(folder, "train", "fable.txt", *other, "--output", "other").done()
    original = CheckpointFolder.is_due_by_time

    def is_due_by_time(self: CheckpointFolder, run: Any) -> bool:
        if run.steps == 7:
            raise KeyboardInterrupt
        return original(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "is_due_by_time", is_due_by_time)
        call(folder, "train", "fable.txt", *options, "--epochs", "2", "--output", "run").error(128 + signal.SIGINT)
    older, _ = sorted((folder / "run" / "checkpoints").iterdir())
    older.unlink()
    return folder


def _outcomes(home: Path, cases: int, first: int) -> dict[str, int]:
    environment = os.environ | {"PYTHONPATH": str(_SUPPORT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "ignore", str(_SUPPORT / "load_within_limits.py"), str(home), str(cases), str(first)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    outcomes: dict[str, int] = found["outcomes"]
    print(outcomes)  # noqa: T201
    assert found["wrong"] == []
    assert sum(outcomes.values()) == cases
    return outcomes


def _count(outcomes: dict[str, int], start: str) -> int:
    return sum(count for outcome, count in outcomes.items() if outcome.startswith(start))


def test_forty(home: Path) -> None:
    outcomes = _outcomes(home, 40, 0)
    assert _count(outcomes, "model: ModelFolderError") > 3
    assert _count(outcomes, "model: loaded, refused") > 3
    assert outcomes["run: read, resumed"] >= 1


@pytest.mark.slow
def test_a_thousand(home: Path) -> None:
    outcomes = _outcomes(home, 1000, 1000)
    assert _count(outcomes, "model: ModelFolderError") > 100
    assert _count(outcomes, "model: loaded, refused") > 100
    assert outcomes["run: read, resumed"] > 20
