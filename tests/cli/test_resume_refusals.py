"""``charloom train --resume`` if it cannot continue: the attempt loses nothing."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import CheckpointFolder, ModelFolderError
from charloom.io.lock import FolderLock
from charloom.training.checkpoints import folder
from charloom.training.checkpoints.file_format import read_checkpoint, write_checkpoint
from charloom.training.checkpoints.folder import newest_checkpoint
from process import SMALL, call

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20
_OPTIONS = [*SMALL, "--epochs", "2", "--checkpoint-steps", "5", "--sample-every", "0", "--validation-fraction", "0.1"]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a text and a run that ended and kept its best weights."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "fable.txt").write_text(_TEXT, encoding="utf-8")
    call(folder, "train", "fable.txt", *_OPTIONS, "--keep-best", "--output", "model").done()
    return folder


@pytest.fixture
def home(ended: Path, tmp_path: Path) -> Path:
    """Returns a copy of the folder ``ended``."""
    return Path(shutil.copytree(ended, tmp_path, dirs_exist_ok=True))


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _interrupted_run(home: Path) -> Path:
    """Makes two checkpoints, neither at the end."""
    original = CheckpointFolder.is_due_by_time

    def is_due_by_time(self: CheckpointFolder, run: Any) -> bool:
        if run.steps > 12:
            raise KeyboardInterrupt
        return original(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "is_due_by_time", is_due_by_time)
        assert call(home, "train", "fable.txt", *_OPTIONS, "--output", "cut").status != 0
    return home / "cut" / "checkpoints"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--threads", "1000"], "--threads is 1000: it must be at most"),
        (["--device", "cuda:77"], "cuda:77"),
        (["--precision", "float64"], "float64"),
    ],
)
def test_unsupported_settings_leave_the_model_unchanged(home: Path, options: list[str], reason: str) -> None:
    before = _contents(home / "model")
    assert reason in call(home, "train", "--resume", "model", "--epochs", "4", *options).error(2)
    assert _contents(home / "model") == before


def test_a_checkpoint_that_is_readable_but_does_not_fit(home: Path) -> None:
    """Its weights may be of any state, and are not saved."""
    (checkpoint,) = (home / "model" / "checkpoints").iterdir()
    facts, tensors = read_checkpoint(checkpoint)
    write_checkpoint(checkpoint, facts, tensors | {"optimizer/0/exp_avg": torch.zeros(1)})
    before = _contents(home / "model")
    assert "damaged" in call(home, "train", "--resume", "model", "--epochs", "4").error()
    assert _contents(home / "model") == before


def test_the_checkpoint_is_read_after_the_lock_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look(path: Path) -> Any:
        with pytest.raises(ModelFolderError, match="using this folder"):
            FolderLock(home / "model", "another").take()
        asked.append(str(path))
        return newest_checkpoint(path)

    monkeypatch.setattr(folder, "newest_checkpoint", look)
    call(home, "train", "--resume", "model", "--epochs", "3").done()
    assert asked == ["model"]


def test_a_checkpoint_of_another_folder_needs_an_output_folder(home: Path) -> None:
    (checkpoint,) = (home / "model" / "checkpoints").iterdir()
    (home / "deep" / "er").mkdir(parents=True)
    shutil.copy(checkpoint, home / "deep" / "er" / "kept.checkpoint")
    before = _contents(home)
    for name in ("deep/er/kept.checkpoint", "model/config.json"):
        message = call(home, "train", "--resume", name, "--epochs", "3").error(2)
        assert message == (
            f"{name} is not in the checkpoints folder of a run; pass the folder of a run or, if this is a copy of a "
            "checkpoint, choose a folder with --output"
        )
    assert _contents(home) == before
    out = call(home, "train", "--resume", "deep/er/kept.checkpoint", "--epochs", "3", "--output", "other").done()
    assert "resumed at the end of epoch 2" in out


def test_resuming_an_older_checkpoint_discards_newer_ones_only_if_asked(home: Path) -> None:
    folder = _interrupted_run(home)
    older, newer = sorted(folder.iterdir())
    message = call(home, "train", "--resume", older).error(2)
    assert message == (
        f"{folder.parent} contains 1 checkpoint newer than {older.name}; pass --output to resume in another folder, or "
        "use --force to delete them"
    )
    assert newer.exists()
    call(home, "train", "--resume", older, "--output", "elsewhere").done()
    assert newer.exists()
    assert "resumed at epoch 1, minibatch 5 of" in call(home, "train", "--resume", older, "--force").done()
    assert (home / "cut" / "model.safetensors").read_bytes() == (home / "elsewhere" / "model.safetensors").read_bytes()


def test_the_folder_of_the_checkpoints_is_the_folder_of_the_run(home: Path) -> None:
    _interrupted_run(home)
    assert "resumed at epoch 1, minibatch 10 of" in call(home, "train", "--resume", "cut/checkpoints").done()
    assert (home / "cut" / "model.safetensors").exists()


def test_a_missing_folder_is_not_created(home: Path) -> None:
    for name in ("nowhere", "model/checkpoints/typo.checkpoint"):
        assert call(home, "train", "--resume", name).error() == f"{name}: no such file or folder"
    assert not (home / "nowhere").exists()


@pytest.mark.parametrize("arguments", [["--resume", "empty"], ["nofile", "--output", "empty"]])
def test_a_run_that_fails_keeps_an_empty_folder_of_the_user(arguments: list[str], home: Path) -> None:
    (home / "empty").mkdir()
    call(home, "train", *arguments).error()
    assert list((home / "empty").iterdir()) == []


def test_a_run_that_fails_leaves_no_folder_of_its_own(home: Path) -> None:
    call(home, "train", "nofile", "--output", "new").error()
    assert not (home / "new").exists()


def test_a_finished_run_is_left_unchanged(home: Path) -> None:
    """Fewer epochs than were trained change nothing; a model without its configuration is saved again."""
    before = _contents(home / "model")
    out = call(home, "train", "--resume", "model", "--epochs", "1").done()
    assert "Nothing to do: the run ended after 2 epochs" in out
    assert _contents(home / "model") == before
    (home / "model" / "config.json").unlink()
    call(home, "train", "--resume", "model").done()
    assert (home / "model" / "model.safetensors").read_bytes() == before[str(home / "model" / "model.safetensors")]


def test_a_run_without_a_model_yet_names_the_command_to_resume(home: Path) -> None:
    _interrupted_run(home)
    message = call(home, "generate", "cut").error()
    assert message == "cut: no model yet, only an interrupted run; resume it with charloom train --resume cut"
