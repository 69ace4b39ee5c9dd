"""Runs of several kinds to interrupt and resume: together they use every part of a run's state."""

from pathlib import Path
from typing import Any

import torch

from charloom import (
    Checkpoint,
    CheckpointFolder,
    Corpus,
    History,
    LanguageModel,
    ModelSettings,
    TrainingSettings,
    build_model,
    corpus_from,
    newest_checkpoint,
    train,
)
from charloom.training.events import Listener

_SMALL: dict[str, Any] = {"batch_size": 4, "num_steps": 10, "epochs": 4, "device": "cpu", "sample_every": 0}
_SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1.0}
_ADAMW: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 0.01}
_VALIDATED: dict[str, Any] = {"validation_fraction": 0.2}

KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the section's": ({}, _SGD),
    "random order": ({"cell": "gru"}, _ADAMW | {"partitioning": "random"}),
    "dropout": (
        {"cell": "lstm", "num_layers": 2, "dropout": 0.3, "embedding_size": 6},
        _ADAMW | _VALIDATED | {"schedule": "cosine", "sample_every": 2, "sample_chars": 5},
    ),
    "dropout, random order": (
        {"cell": "lstm", "dropout": 0.5, "embedding_size": 8, "tied_output": True},
        _ADAMW | {"partitioning": "random", "schedule": "step", "decay_every": 1, "warmup_epochs": 1.5},
    ),
    "patience": ({"cell": "gru"}, _ADAMW | _VALIDATED | {"learning_rate": 0.1, "patience": 2, "epochs": 30}),
    "the best": (
        {"cell": "lstm"},
        _ADAMW | _VALIDATED | {"learning_rate": 0.1, "keep_best": True, "epochs": 8},
    ),
    "accumulated": (
        {"cell": "lstm", "num_layers": 2, "dropout": 0.2},
        _ADAMW | {"batch_size": 2, "gradient_accumulation_steps": 2},
    ),
    "validated": ({}, _SGD | _VALIDATED | {"weight_decay": 0.01, "clip_norm": 0.5, "learning_rate": 0.3}),
}
"""Settings of the model and of training, by name."""


def settings_of_kind(kind: str, **changes: Any) -> tuple[ModelSettings, TrainingSettings]:
    """Returns the settings of a small run."""
    model, training = KINDS[kind]
    return ModelSettings(**{"hidden_size": 8} | model), TrainingSettings(**_SMALL | training | changes)


def corpus_of(text: str) -> Corpus:
    """Returns a corpus that is in no file."""
    return corpus_from(text, name="made")


def train_or_resume(
    kind: str, corpus: Corpus, folder: Path, *listeners: Listener, **changes: Any
) -> tuple[Any, History]:
    """Trains a new model or resumes the last checkpoint in the folder; returns the model and the history."""
    model_settings, settings = settings_of_kind(kind, **changes)
    resume: Checkpoint | None = None
    if (folder / "checkpoints").exists():
        resume = newest_checkpoint(folder)
        model = resume.make_model()
    else:
        model = build_model(corpus.vocabulary, model_settings, seed=3)
    torch.rand(5)  # random numbers of the caller change nothing
    history = train(model, corpus, settings, listeners=listeners, checkpoints=CheckpointFolder(folder), resume=resume)
    return model, history


def assert_same(model: LanguageModel, history: History, expected: LanguageModel, expected_history: History) -> None:
    """Asserts equality to the last bit, except times."""
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    measured = [(r.epoch, r.perplexity, r.validation_perplexity) for r in history]
    assert measured == [(r.epoch, r.perplexity, r.validation_perplexity) for r in expected_history]
    seconds = [record.seconds for record in history]
    assert seconds == sorted(seconds)
    results = [dict(m.provenance["results"]) for m in (model, expected)]
    assert [r["epoch"] for r in results] == [results[0]["epoch"]] * 2
    assert [r["epochs_trained"] for r in results] == [len(history)] * 2
