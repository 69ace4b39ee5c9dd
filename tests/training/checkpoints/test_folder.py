"""The folder of checkpoints: when they are written, which are kept, and errors of writing and reading."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import CharloomWarning, CheckpointError, CheckpointFolder, newest_checkpoint
from charloom.training.checkpoints.checkpoint import save_checkpoint
from charloom.training.checkpoints.file_format import read_checkpoint, write_checkpoint
from charloom.training.checkpoints.folder import broadcast_newest_checkpoint, list_checkpoint_files
from charloom.training.events import EpochEnded, Event, StepEnded, StopTraining
from charloom.training.processes import Processes
from interrupted_runs import assert_same, corpus_of, train_or_resume

pytestmark = pytest.mark.filterwarnings("ignore:validation perplexity was best")
_CORPUS = corpus_of("A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 6)


def _numbers(folder: Path) -> list[int]:
    """Returns the steps of the checkpoints."""
    return sorted(int(file.name[5:15]) for file in (folder / "checkpoints").glob("*.checkpoint"))


def _at_step(number: int, act: Callable[[], Any]) -> Callable[[Event], None]:
    seen = 0

    def listen(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, StepEnded)
        if isinstance(event, StepEnded) and seen == number:
            act()

    return listen


def test_checkpoints_at_an_interval_of_steps_and_the_last_few_kept(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    def look(event: Event) -> None:
        if isinstance(event, StepEnded):
            seen.append(_numbers(tmp_path))

    train_or_resume("the section's", _CORPUS, tmp_path, look, checkpoint_steps=4, keep_checkpoints=3, epochs=2)
    assert seen[:13] == [[0]] * 4 + [[0, 4]] * 4 + [[0, 4, 8]] * 4 + [[4, 8, 12]]
    assert _numbers(tmp_path) == [len(seen)]  # at the end only the last, to train longer from
    assert len(newest_checkpoint(tmp_path).history) == 2


def test_checkpoints_at_an_interval_of_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which a step takes ten seconds."""
    now = [0.0]
    monkeypatch.setattr("charloom.training.checkpoints.folder.time.monotonic", lambda: now[0])
    seen: list[list[int]] = []

    def tick(event: Event) -> None:
        if isinstance(event, StepEnded):
            seen.append(_numbers(tmp_path))
            now[0] += 10

    train_or_resume("the section's", _CORPUS, tmp_path, tick, checkpoint_minutes=1, keep_checkpoints=100)
    assert seen[-1] == list(range(0, len(seen), 6))


def test_only_the_first_and_the_last(tmp_path: Path) -> None:
    seen: set[int] = set()
    train_or_resume("the section's", _CORPUS, tmp_path, lambda _: seen.update(_numbers(tmp_path)), checkpoint_minutes=0)
    assert seen == {0}
    assert len(_numbers(tmp_path)) == 1


def test_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    train_or_resume("the section's", _CORPUS, tmp_path, _at_step(5, _stop), checkpoint_steps=2)
    half = tmp_path / "checkpoints" / ".step-0000000006.checkpoint.0123abcd"
    half.write_bytes(b"charloom checkp")
    mine = tmp_path / "checkpoints" / ".mine"
    mine.write_text("")
    train_or_resume("the section's", _CORPUS, tmp_path)
    assert not half.exists()
    assert mine.exists()


def _stop() -> None:
    raise StopTraining


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(tmp_path: Path) -> None:
    expected = train_or_resume("dropout", _CORPUS, tmp_path / "whole")
    folder = tmp_path / "again"
    train_or_resume("dropout", _CORPUS, folder, _at_step(9, _stop), checkpoint_steps=3, keep_checkpoints=3)
    assert _numbers(folder) == [3, 6, 9]
    for number, data in ((9, b""), (6, None)):
        file = folder / "checkpoints" / f"step-{number:010d}.checkpoint"
        whole = file.read_bytes()
        file.write_bytes(data if data is not None else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.warns(CharloomWarning, match="resuming from the previous checkpoint") as notes:
        assert newest_checkpoint(folder).steps == 3
    assert [str(note.message).count("step-0000000009") for note in notes] == [1, 0]
    assert "SHA-256" in str(notes[1].message)
    with pytest.warns(CharloomWarning):
        found = train_or_resume("dropout", _CORPUS, folder)
    assert_same(*found, *expected)


def test_no_readable_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        newest_checkpoint(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        newest_checkpoint(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("step-0000000001.checkpoint", "step-0000000002.checkpoint"):
        (tmp_path / "checkpoints" / name).write_bytes(b"nonsense\n" * 30)
    with pytest.raises(CheckpointError, match=r"no checkpoint can be read; the error in the newest: .*0002.checkpoint"):
        newest_checkpoint(tmp_path)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A flag: while it is set, no file can be written to the disk."""
    full = [False]

    def save(path: Path, *rest: Any) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_checkpoint(path, *rest)

    monkeypatch.setattr("charloom.training.checkpoints.folder.save_checkpoint", save)
    return full


def test_a_write_error_is_reported_once_and_training_continues(tmp_path: Path, full_disk: list[bool]) -> None:
    expected = train_or_resume("dropout", _CORPUS, tmp_path / "whole")

    def fill() -> None:
        full_disk[0] = True

    def lose_power() -> None:
        raise KeyboardInterrupt

    with (
        pytest.warns(CharloomWarning, match=r"No space left.*0000000004\.checkpoint \(epoch 1, .*will be retried") as w,
        pytest.raises(KeyboardInterrupt),
    ):
        train_or_resume(
            "dropout", _CORPUS, tmp_path / "again", _at_step(5, fill), _at_step(20, lose_power), checkpoint_steps=2
        )
    assert len(w) == 1
    assert _numbers(tmp_path / "again") == [4]  # the one before it was removed, to make room
    full_disk[0] = False
    assert_same(*train_or_resume("dropout", _CORPUS, tmp_path / "again"), *expected)


def test_the_oldest_is_removed_to_make_room_for_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk with space for two."""

    def save(path: Path, *rest: Any) -> None:
        if len(_numbers(tmp_path)) >= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_checkpoint(path, *rest)

    monkeypatch.setattr("charloom.training.checkpoints.folder.save_checkpoint", save)
    seen: list[list[int]] = []
    train_or_resume(
        "the section's",
        _CORPUS,
        tmp_path,
        lambda _: seen.append(_numbers(tmp_path)),
        checkpoint_steps=1,
        keep_checkpoints=5,
        epochs=1,
    )
    assert seen[3] == [2, 3]


def test_a_folder_that_is_removed_is_created_again(tmp_path: Path) -> None:
    expected = train_or_resume("dropout", _CORPUS, tmp_path / "whole")
    folder = tmp_path / "again"

    def stop_later(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.record.epoch == 2:
            raise StopTraining

    with pytest.warns(CharloomWarning, match="checkpoints was missing and has been created again"):
        train_or_resume(
            "dropout", _CORPUS, folder, _at_step(5, lambda: shutil.rmtree(folder)), stop_later, checkpoint_steps=2
        )
    assert_same(*train_or_resume("dropout", _CORPUS, folder), *expected)


def test_a_new_run_removes_the_old_checkpoints(tmp_path: Path) -> None:
    train_or_resume("the section's", _CORPUS, tmp_path, epochs=2)
    CheckpointFolder(tmp_path)  # nothing yet
    assert _numbers(tmp_path) != [0]
    from charloom import build_model, train
    from interrupted_runs import settings_of_kind

    model_settings, settings = settings_of_kind("the section's")
    model = build_model(_CORPUS.vocabulary, model_settings)

    def check_and_stop(_: Event) -> None:
        assert _numbers(tmp_path) == [0]
        raise StopTraining

    train(model, _CORPUS, settings, listeners=[check_and_stop], checkpoints=CheckpointFolder(tmp_path))
    assert newest_checkpoint(tmp_path).steps == 1


def test_weights_that_are_not_finite_are_not_checkpointed(tmp_path: Path) -> None:
    """Otherwise a checkpoint of broken weights could replace the last good one."""
    from charloom import TrainingDivergedError, build_model, train
    from interrupted_runs import settings_of_kind

    model_settings, settings = settings_of_kind("the section's", checkpoint_steps=3)
    model = build_model(_CORPUS.vocabulary, model_settings)

    def break_it() -> None:
        with torch.no_grad():
            model.output.bias.fill_(torch.nan)

    with pytest.raises(TrainingDivergedError, match=r"a weight is no longer finite.*0000000006\.checkpoint"):
        train(model, _CORPUS, settings, listeners=[_at_step(9, break_it)], checkpoints=CheckpointFolder(tmp_path))
    assert newest_checkpoint(tmp_path).steps == 6


def test_a_restart_uses_no_other_runs_checkpoint(tmp_path: Path) -> None:
    """However far that run came."""
    train_or_resume("the section's", _CORPUS, tmp_path, epochs=1)
    mine, other = Processes(run="mine"), Processes(run="other")
    (path,) = list_checkpoint_files(tmp_path / "checkpoints")
    assert broadcast_newest_checkpoint(mine, tmp_path) is not None
    assert broadcast_newest_checkpoint(mine, tmp_path, of_this_run=True) is None
    facts, tensors = read_checkpoint(path)
    write_checkpoint(path, facts | {"source": {"run": "mine"}}, tensors)
    assert broadcast_newest_checkpoint(mine, tmp_path, of_this_run=True) is not None
    assert broadcast_newest_checkpoint(other, tmp_path, of_this_run=True) is None
