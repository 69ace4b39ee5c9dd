"""The file format of a checkpoint."""

from pathlib import Path

import pytest
import torch

from charloom import Checkpoint, CheckpointError
from charloom.training.checkpoints.file_format import read_checkpoint, write_checkpoint
from interrupted_runs import corpus_of, train_or_resume

_CORPUS = corpus_of("A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 6)


def test_round_trip(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5, dtype=torch.uint8), "c": torch.tensor(1.5).double()}
    facts = {"name": "caf\udce9 \u6f22", "number": 0.1, "list": [1, None]}
    write_checkpoint(tmp_path / "file", facts, tensors)
    found, read = read_checkpoint(tmp_path / "file")
    assert found == facts
    assert {name: (t.dtype, t.tolist()) for name, t in read.items()} == {
        name: (t.dtype, t.tolist()) for name, t in tensors.items()
    }
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_later_version(tmp_path: Path) -> None:
    train_or_resume("the section's", _CORPUS, tmp_path, epochs=1)
    (file,) = (tmp_path / "checkpoints").iterdir()
    file.write_bytes(file.read_bytes().replace(b"checkpoint 1 ", b"checkpoint 2 ", 1))
    with pytest.raises(
        CheckpointError, match="unknown format version 2: install the version of charloom that wrote it"
    ):
        Checkpoint.read(file)
