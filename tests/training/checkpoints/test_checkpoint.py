"""The contents of a checkpoint: the whole state of a run round-trips, and invalid contents are refused."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import Checkpoint, CheckpointError, EpochRecord, build_model, newest_checkpoint
from charloom.training.checkpoints.checkpoint import save_checkpoint
from charloom.training.checkpoints.file_format import read_checkpoint, write_checkpoint
from charloom.training.processes import Processes
from charloom.training.state import TrainingState
from interrupted_runs import corpus_of, settings_of_kind, train_or_resume

_CORPUS = corpus_of("A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 6)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of a run with AdamW after two validations."""
    train_or_resume("dropout", _CORPUS, tmp_path, epochs=2)
    return newest_checkpoint(tmp_path).path


def _started() -> TrainingState:
    model_settings, settings = settings_of_kind("dropout", epochs=2)
    return TrainingState(build_model(_CORPUS.vocabulary, model_settings, seed=7), settings)


def test_an_infinite_perplexity_round_trips(tmp_path: Path) -> None:
    """JSON has no infinity."""
    training = _started()
    records = [EpochRecord(1, math.inf, math.inf, 1.5, 0.1), EpochRecord(2, 0.1 + 0.2, 1e300, 2.5, 1e7)]
    training.history[:] = records
    path = tmp_path / "file"
    about = {"corpus": _CORPUS.identity, "source": {"texts": []}}
    save_checkpoint(path, training, None, [training.random_state], about)
    read = Checkpoint.read(path)
    assert list(read.history) == records
    assert read.corpus == _CORPUS.identity
    assert read.source == {"texts": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {"history": [{"perplexity": 1.0}]},
        {"history": [3]},
        {"history": 1},
        {"steps": -1},
        {"steps": 2**60},
        {"done": True},
        {"num_batches": 1.5},
        {"corpus": {"name": "a", "sha256": "b", "num_chars": "c"}},
        {"made_with": {}},
        {"source": 3},
        {"training": {"epochs": 0}},
        {"training": {"no_setting": 1}},
    ],
)
def test_invalid_facts(checkpoint: Path, wrong: dict[str, Any]) -> None:
    facts, tensors = read_checkpoint(checkpoint)
    write_checkpoint(checkpoint, facts | wrong, tensors)
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.read(checkpoint)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights/output.bias": torch.zeros(3)},
        {"weights/other": torch.zeros(3)},
        {"optimizer/0/exp_avg": torch.zeros(1)},
        {"optimizer/0/step": torch.tensor(-1.0)},
        {"generator": torch.zeros(3, dtype=torch.uint8)},
        {"random/0": torch.zeros(3, dtype=torch.uint8)},
    ],
)
def test_tensors_that_do_not_fit(checkpoint: Path, wrong: dict[str, torch.Tensor]) -> None:
    facts, tensors = read_checkpoint(checkpoint)
    write_checkpoint(checkpoint, facts, tensors | wrong)
    with pytest.raises(CheckpointError, match="damaged, or from another model"):
        Checkpoint.read(checkpoint).restore(_started(), Processes())


@pytest.mark.parametrize("missing", ["optimizer/0/exp_avg_sq", "weights/output.bias", "generator", "random/0"])
def test_missing_tensors(checkpoint: Path, missing: str) -> None:
    facts, tensors = read_checkpoint(checkpoint)
    del tensors[missing]
    write_checkpoint(checkpoint, facts, tensors)
    with pytest.raises(CheckpointError, match="damaged, or from another model"):
        Checkpoint.read(checkpoint).restore(_started(), Processes())


def test_the_state_of_the_optimizer_round_trips(checkpoint: Path) -> None:
    training = _started()
    Checkpoint.read(checkpoint).restore(training, Processes())
    _, tensors = read_checkpoint(checkpoint)
    kept = training.optimizer.state_dict()["state"]
    found = {f"optimizer/{index}/{name}": tensor for index, state in kept.items() for name, tensor in state.items()}
    expected = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer/")}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
