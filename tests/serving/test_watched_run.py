"""A run that is watched: what its files are at each moment, and folders that are none."""

import os
import shutil
from pathlib import Path

import pytest

from charloom import EpochRecord, LanguageModel, Vocabulary, build_model
from charloom.io.lock import FolderLock
from charloom.serving import watched_run
from charloom.serving.watched_run import WatchedRun, find_start


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_run, "_LOCK_SECONDS", 0.0)


def _write(folder: Path, *perplexities: float) -> None:
    records = [EpochRecord(epoch, value, None, 1.0, 2.0) for epoch, value in enumerate(perplexities, 1)]
    (folder / "history.jsonl").write_text("".join(record.to_json() + "\n" for record in records))


def test_a_run_from_its_start_to_its_end(char_model: Path, tmp_path: Path) -> None:
    run = WatchedRun(tmp_path)
    assert not run.exists
    with FolderLock(tmp_path, "a run"):
        assert run.exists
        report = run.report()
        assert (report.status, report.has_model, report.samples) == ("Training.", False, [])
        assert "no epochs" in report.curves
        _write(tmp_path, 9.0)
        first = run.report().curves
        _write(tmp_path, 9.0, 5.25)
        second = run.report().curves
        assert first.count("<svg") == second.count("<svg") == 1
        assert "5.25" in second
        assert run.report().curves is second  # nothing has changed
        shutil.copytree(char_model / "checkpoints", tmp_path / "checkpoints")
        (sample,) = run.report().samples
        assert "fox" in sample.text  # the model knows its only sentence by heart
        assert run.report().samples == [sample]
    assert run.report().status.startswith("Stopped without a model")
    LanguageModel.load(char_model).save(tmp_path)
    report = run.report()
    assert (report.status, report.has_model) == ("Ended.", True)
    with FolderLock(tmp_path, "a run"):
        assert run.report().status == "Training. Its model replaces that in the folder at the end."
    os.utime(tmp_path / "config.json", (0, 0))  # as if the run had been resumed, and killed after a checkpoint
    assert run.report().status.startswith("Stopped after a checkpoint that is newer")


def test_samples_of_another_run_replace_those_of_the_first(char_model: Path, byte_model: Path, tmp_path: Path) -> None:
    shutil.copytree(char_model / "checkpoints", tmp_path / "checkpoints")
    run = WatchedRun(tmp_path)
    assert len(run.report().samples) == 1
    shutil.rmtree(tmp_path / "checkpoints")
    shutil.copytree(byte_model / "checkpoints", tmp_path / "checkpoints")
    (sample,) = run.report().samples
    assert "fox" not in sample.text


def test_damaged_files(char_model: Path, tmp_path: Path) -> None:
    """A damaged checkpoint and a damaged line are no errors: the rest is shown."""
    shutil.copytree(char_model / "checkpoints", tmp_path / "checkpoints")
    for name in ("step-9999999999.checkpoint", "step-0000000000.checkpoint", "other"):
        (tmp_path / "checkpoints" / name).write_bytes(b"damaged")
    run = WatchedRun(tmp_path)
    (tmp_path / "history.jsonl").write_text("{\n" + EpochRecord(1, float("nan"), None, 1.0, 2.0).to_json() + "\n")
    report = run.report()
    assert report.samples == []
    assert report.note == "1 line of history.jsonl cannot be read."
    (tmp_path / "checkpoints" / "step-9999999999.checkpoint").unlink()
    assert len(run.report().samples) == 1


def test_starts_of_samples() -> None:
    for vocabulary, start in (
        (Vocabulary(), "\n"),
        (Vocabulary.of_text("ab \n"), "\n"),
        (Vocabulary.of_text("ab "), " "),
        (Vocabulary.of_text("ab"), "b"),
    ):
        assert find_start(build_model(vocabulary)) == start
