"""The process that trains runs: its corpus and replies, and its end with its parent."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from charloom import CharloomError, Recipe, corpus_from, load_corpus
from charloom.sweeps import worker
from charloom.sweeps.worker import Task, read_raw_texts, write_corpus
from process import PATIENCE

_TEXT = "A fox, a dog and a crow. " * 20


def _task(folder: Path, **changes: object) -> Task:
    recipe = Recipe().with_changes(
        {"hidden_size": 4, "batch_size": 2, "num_steps": 5, "epochs": 2, "sample_every": 0, "device": "cpu"} | changes
    )
    return Task(folder=str(folder / "run"), corpus="", settings=recipe.values, keep_model=False)


def test_a_corpus_is_sent_complete(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(256)))
    for corpus in (load_corpus(tmp_path / "a.txt", unit="byte"), corpus_from("naïve 漢\n", name="made")):
        write_corpus(tmp_path / "c", corpus)
        again = read_raw_texts(tmp_path / "c")
        assert (again.name, again.text, again.vocabulary) == (corpus.name, corpus.text, corpus.vocabulary)
        assert torch.equal(again.ids[:], corpus.ids[:])


def test_each_epoch_is_reported_and_the_run_is_in_its_folder(tmp_path: Path) -> None:
    replies = io.StringIO()
    worker._train(_task(tmp_path), corpus_from(_TEXT), replies)
    assert [json.loads(line) for line in replies.getvalue().splitlines()] == [{"epoch": epoch} for epoch in range(3)]
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["outcome"], run["epochs"]) == ("finished", 2)


def test_an_invalid_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CharloomError, match="minibatch"):
        worker._train(_task(tmp_path, batch_size=1000), corpus_from(_TEXT), io.StringIO())


def test_it_exits_when_nobody_waits_for_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parents = iter([7, 7, 7])
    monkeypatch.setattr(os, "getppid", lambda: next(parents, 1))

    def leave(status: int) -> None:
        raise KeyboardInterrupt(status)

    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(KeyboardInterrupt):
        worker._train(_task(tmp_path), corpus_from(_TEXT), io.StringIO())
    assert not (tmp_path / "run" / "run.json").exists()


def test_no_run_starts_if_the_parent_is_gone(tmp_path: Path) -> None:
    """A sweep may be killed while its processes start."""
    write_corpus(tmp_path / "text", corpus_from(_TEXT))
    task = _task(tmp_path) | {"corpus": str(tmp_path / "text")}
    command = [sys.executable, "-P", "-m", worker.__name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.communicate(json.dumps(task).encode() + b"\n", timeout=PATIENCE)
    assert process.returncode
    assert not (tmp_path / "run").exists()
