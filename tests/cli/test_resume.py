"""``charloom train --resume``: a run continues from its folder alone; what does not fit it is refused in one line."""

import contextlib
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import charloom
from charloom import CheckpointFolder
from charloom.io.lock import FolderLock
from process import PATIENCE, SMALL, call, run, start, wait_until

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20
_OPTIONS = [*SMALL, "--epochs", "3", "--checkpoint-steps", "5", "--prefix", "A fox", "--dropout", "0.1"]
_STEPS = 36
"""Steps of one epoch."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fable.txt").write_text(_TEXT, encoding="utf-8")
    return tmp_path


def _interrupted_run(home: Path, *options: Any, steps: int = 50) -> Path:
    """Runs until ``steps`` as if the power failed then; the last checkpoint is older."""
    original = CheckpointFolder.is_due_by_time

    def is_due_by_time(self: CheckpointFolder, run: Any) -> bool:
        if run.steps > steps:
            raise KeyboardInterrupt
        return original(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "is_due_by_time", is_due_by_time)
        result = call(home, "train", "fable.txt", *_OPTIONS, "--output", "model", *options)
    assert result.error(128 + signal.SIGINT) == "stopped"
    return home / "model"


def _weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def _epochs(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "history.jsonl").read_text().splitlines()]


def test_resumes_from_its_folder_alone(home: Path) -> None:
    """Text, clean-up, model and training come from there; the history is repaired."""
    call(home, "train", "fable.txt", *_OPTIONS, "--lowercase", "--output", "whole", "--prefix", "a fox").done()
    folder = _interrupted_run(home, "--lowercase", "--prefix", "a fox", steps=_STEPS + 12)
    assert not (folder / "config.json").exists()
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "perplexity": 3.0, "validation_perpl')
    message = call(home, "train", "fable.txt", "--output", "model").error()
    assert message == (
        "model contains an interrupted run; pass --resume model to resume it, or use --force to start a new one"
    )
    for words in (["generate", "model"], ["info", "model"]):
        assert call(home, *words).error() == (
            "model: no model yet, only an interrupted run; resume it with charloom train --resume model"
        )
    (home / "elsewhere").mkdir()
    out = call(home / "elsewhere", "train", "--resume", "../model").done()
    assert "run     resumed at epoch 2, minibatch 9 of 36, 3 epochs" in out
    assert "epoch    1" not in out
    assert "epoch    2, perplexity" in out
    assert _weights(folder) == _weights(home / "whole")
    assert _epochs(folder) == [1, 2, 3]
    model, whole = (charloom.LanguageModel.load(home / name) for name in ("model", "whole"))
    assert model.vocabulary == whole.vocabulary
    assert model.provenance["training"] == whole.provenance["training"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in (home / "whole").iterdir())


def test_a_finished_run_reports_it_and_its_model_is_restored(home: Path) -> None:
    """The kill may have come between the last checkpoint and the model."""
    call(home, "train", "fable.txt", *_OPTIONS, "--output", "model").done()
    before = _weights(home / "model")
    (home / "model" / "model.safetensors").unlink()
    (home / "model" / "history.jsonl").unlink()
    out = call(home, "train", "--resume", "model").done()
    assert "Nothing to do: the run ended after 3 epochs; to train longer, add --epochs 6." in out
    assert _weights(home / "model") == before
    assert _epochs(home / "model") == [1, 2, 3]


def test_resumes_in_another_folder(home: Path) -> None:
    folder = _interrupted_run(home)
    call(home, "train", "fable.txt", *_OPTIONS, "--output", "whole").done()
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    call(home, "train", "--resume", "model", "--output", "other").done()
    assert _weights(home / "other") == _weights(home / "whole")
    assert _epochs(home / "other") == [1, 2, 3]
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    # --resume also takes a single checkpoint.
    oldest = min((folder / "checkpoints").iterdir())
    out = call(home, "train", "--resume", oldest, "--output", "third").done()
    assert "resumed at epoch 2, minibatch 9 of 36" in out
    assert _weights(home / "third") == _weights(home / "whole")
    assert "already contains a model" in call(home, "train", "--resume", "model", "--output", "third").error()


_REFUSED = [
    (
        ["--batch-size", "5"],
        "--batch-size is 5: the run was started with --batch-size 4; omit this setting, or start a new run from this "
        "run's weights with --init-from",
    ),
    (["--hidden-size", "17"], "--hidden-size is 17: the run was started with --hidden-size 16; omit this setting"),
    (["--max-chars", "9"], "--max-chars is 9: the run was started without it; omit this setting"),
    (["--lowercase"], "--lowercase: the run was started with --no-lowercase; omit this setting"),
    (
        ["--recipe", "section"],
        "--recipe is 'section': a resumed run keeps its own settings and weights; omit this setting",
    ),
    (["--init-from", "model"], "--init-from is 'model': a resumed run keeps"),
    (["--extend-vocabulary"], "--extend-vocabulary requires --init-from"),
]


def test_changes_that_are_refused(home: Path) -> None:
    folder = _interrupted_run(home)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for options, message in _REFUSED:
        assert message in call(home, "train", "--resume", "model", *options).error(2)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


@pytest.mark.slow
def test_changes_that_are_allowed_are_reported(home: Path) -> None:
    _interrupted_run(home)
    options = ["--epochs", "2", "--learning-rate", "0.001", "--report-every", "2", "--threads", "1"]
    out = call(home, "train", "--resume", "model", *options).done()
    assert "resumed at epoch 2, minibatch 14 of 36, epochs 2 instead of 3, learning_rate 0.001 instead of 0.003" in out
    training = charloom.LanguageModel.load(home / "model").provenance["training"]
    assert (training["epochs"], training["learning_rate"], training["batch_size"]) == (2, 0.001, 4)


def test_the_text_must_be_the_same(home: Path) -> None:
    """Its path may differ."""
    call(home, "train", "fable.txt", *_OPTIONS, "--output", "whole").done()
    _interrupted_run(home, "--no-priming")
    text = home / "fable.txt"
    text.write_text(_TEXT + "More.")
    message = call(home, "train", "--resume", "model").error()
    assert message.startswith("fable.txt: not the text that the run was started with (fable.txt): it has 1,565 tokens")
    text.write_text(_TEXT)
    text.rename(home / "moved.txt")
    message = call(home, "train", "--resume", "model").error()
    assert message.endswith("fable.txt: the training text no longer exists at this path; pass its new path")
    call(home, "train", "moved.txt", "--resume", "model").done()
    assert not (home / "model" / "priming.safetensors").exists()  # as the run was started with --no-priming
    assert _weights(home / "model") == _weights(home / "whole")


@pytest.mark.slow
def test_a_text_from_standard_input(home: Path) -> None:
    result = run(home, "train", "-", *_OPTIONS, "--epochs", "1", "--output", "model", stdin=_TEXT.encode())
    assert result.status == 2
    run(home, "train", "-", *SMALL, "--epochs", "1", "--output", "model", stdin=_TEXT.encode()).done()
    message = call(home, "train", "--resume", "model", "--epochs", "2").error()
    assert "the training text was read from standard input; pass the text together with --resume" in message
    out = run(home, "train", "-", "--resume", "model", "--epochs", "2", stdin=_TEXT.encode()).done()
    assert "Trained for 2 epochs in " in out


def test_no_run_to_resume(home: Path) -> None:
    assert "nothing: no such file or folder" in call(home, "train", "--resume", "nothing").error()
    assert "no checkpoint to resume from" in call(home, "train", "--resume", ".").error()
    assert "--resume is empty" in call(home, "train", "--resume", "").error(2)


@pytest.mark.slow
def test_a_run_without_priming_stays_without(home: Path) -> None:
    """The text stays out of the folder, as was asked at the start."""
    _interrupted_run(home, "--no-priming")
    call(home, "train", "--resume", "model").done()
    assert not (home / "model" / "priming.safetensors").exists()
    assert (home / "model" / "codec.safetensors").exists()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_stopped_by_a_signal(number: signal.Signals, home: Path) -> None:
    """The folder has a model at once, and the run continues at the next step."""
    options = [*_OPTIONS[:-6], "--checkpoint-minutes", "60", "--dropout", "0.1", "--prefix", "A fox"]
    options[options.index("--epochs") + 1] = "30"
    process = start(home, "train", "fable.txt", *options, "--output", "model")
    wait_until((home / "model" / "history.jsonl").exists, process)
    process.send_signal(number)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (128 + number, b"")
    assert b"To resume: charloom train --resume model" in out
    assert call(home, "generate", "model", "--prefix", "A fox", "--num-chars", "5").done().startswith("A fox")
    call(home, "compress", "fable.txt", "-m", "model").done()
    stopped = charloom.newest_checkpoint(home / "model")
    assert 0 < stopped.steps < 30 * _STEPS
    call(home, "train", "--resume", "model").done()
    call(home, "train", "fable.txt", *options, "--output", "whole").done()
    assert _weights(home / "model") == _weights(home / "whole")
    assert _epochs(home / "model") == list(range(1, 31))


def _fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass


def test_a_disk_that_fills_up_during_training(home: Path, small_disk: Path) -> None:
    """It is reported once; training continues, its model is saved elsewhere; the last checkpoint can be resumed."""
    call(home, "train", "fable.txt", *_OPTIONS, "--output", "whole").done()
    original = CheckpointFolder.is_due_by_time

    def is_due_by_time(self: CheckpointFolder, run: Any) -> bool:
        if run.steps == 47:
            _fill(small_disk)
        return original(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "is_due_by_time", is_due_by_time)
        patch.setattr("tempfile.tempdir", str(home))
        options = [*_OPTIONS, "--keep-checkpoints", "1"]  # more checkpoints would be deleted to make room
        result = call(home, "train", "fable.txt", *options, "--output", small_disk / "model")
    message = result.error()
    assert "No space left" in message
    warned = [line for line in result.errors.splitlines() if "warning: no checkpoint could be written" in line]
    assert len(warned) == 1
    assert "; training continues, and writing will be retried" in warned[0]
    assert "step-0000000045.checkpoint (epoch 2, minibatch 9 of 36)" in warned[0]
    refuge = next(word for word in message.split() if word.startswith(str(home / "charloom-")))
    assert _weights(Path(refuge)) == _weights(home / "whole")
    assert [file.name for file in (small_disk / "model" / "checkpoints").iterdir()] == ["step-0000000045.checkpoint"]
    call(home, "train", "--resume", small_disk / "model", "--output", "other").done()
    assert _weights(home / "other") == _weights(home / "whole")
    assert _epochs(home / "other") == [1, 2, 3]


@pytest.mark.slow
def test_a_disk_that_becomes_read_only(home: Path, small_disk: Path) -> None:
    original = CheckpointFolder.is_due_by_time

    def is_due_by_time(self: CheckpointFolder, run: Any) -> bool:
        if run.steps == 47:
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        return original(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "is_due_by_time", is_due_by_time)
        patch.setattr("tempfile.tempdir", str(home))
        patch.setattr(FolderLock, "take", lambda _: None)  # mount refuses while a file is open
        result = call(home, "train", "fable.txt", *_OPTIONS, "--output", small_disk / "model")
    message = result.error()
    assert "Read-only file system" in message
    refuge = next(word for word in message.split() if word.startswith(str(home / "charloom-")))
    assert charloom.LanguageModel.load(refuge).provenance["results"]["epoch"] == 3
    assert charloom.newest_checkpoint(small_disk / "model").steps == 45
    assert "history.jsonl cannot be written" in result.errors


def test_a_folder_that_is_deleted_during_training(home: Path) -> None:
    """It is created again, with the whole history."""
    original = CheckpointFolder.is_due_by_time

    def is_due_by_time(self: CheckpointFolder, run: Any) -> bool:
        if run.steps == 47:
            shutil.rmtree(home / "model")
        return original(self, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "is_due_by_time", is_due_by_time)
        result = call(home, "train", "fable.txt", *_OPTIONS, "--output", "model")
    assert result.status == 0, result
    assert result.errors.count("\n") == 1
    assert "checkpoints was missing and has been created again; training continues" in result.errors
    assert _epochs(home / "model") == [1, 2, 3]
    call(home, "evaluate", "model", "fable.txt").done()
