"""Runs that end before their last epoch, or with weights other than the last."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn

from charloom import (
    CharloomWarning,
    History,
    LanguageModel,
    ModelSettings,
    SettingsError,
    TrainingDivergedError,
    TrainingSettings,
    build_model,
    corpus_from,
    train,
)
from charloom.training.events import EpochEnded, Event, SampleDrawn, StepEnded, StopTraining

_SETTINGS = TrainingSettings(
    batch_size=4,
    num_steps=10,
    epochs=14,
    optimizer="adamw",
    learning_rate=0.02,
    validation_fraction=0.25,
    device="cpu",
    sample_every=0,
)
_TEXT = "abcd" * 300 + "dcba" * 100
"""The held-out part is another language: as training learns the first, the prediction of the second gets worse."""


def _run(*listeners: Any, **changes: Any) -> tuple[LanguageModel, History, list[dict[str, torch.Tensor]]]:
    """Returns a run, and the weights after each of its epochs."""
    corpus = corpus_from(_TEXT, name="made")
    model = build_model(corpus.vocabulary, ModelSettings("gru", hidden_size=16), seed=1)
    weights: list[dict[str, torch.Tensor]] = []

    def keep(event: Event) -> None:
        if isinstance(event, EpochEnded):
            weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    settings = dataclasses.replace(_SETTINGS, **changes)
    history = train(model, corpus, settings, listeners=[keep, *listeners])
    return model, history, weights


def _assert_has(model: LanguageModel, weights: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def _best(history: History) -> int:
    """Returns the best epoch, from 1, by a simple search."""
    values = [record.validation_perplexity for record in history if record.validation_perplexity is not None]
    return values.index(min(values)) + 1


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_stops_and_keeps_the_best(patience: int) -> None:
    model, history, weights = _run(patience=patience)
    best = _best(history)
    assert len(history) == best + patience < _SETTINGS.epochs
    _assert_has(model, weights[best - 1])
    results = model.provenance["results"]
    assert (results["epoch"], results["epochs_trained"]) == (best, len(history))
    assert results["validation_perplexity"] == history[best - 1].validation_perplexity
    assert model.provenance["training"]["patience"] == patience


def test_patience_that_does_not_run_out_changes_only_the_final_weights() -> None:
    with pytest.warns(CharloomWarning):
        last, plain, weights = _run()
    model, history, _ = _run(patience=100)
    assert [record.perplexity for record in history] == [record.perplexity for record in plain]
    _assert_has(last, weights[-1])
    assert last.provenance["results"]["epoch"] == _SETTINGS.epochs
    _assert_has(model, weights[_best(history) - 1])


def test_patience_may_keep_the_last() -> None:
    with pytest.warns(CharloomWarning, match="keep_best"):
        model, history, weights = _run(patience=4, keep_best=False)
    assert len(history) == _best(history) + 4
    _assert_has(model, weights[-1])
    assert model.provenance["results"]["epoch"] == len(history)


def test_the_best_without_patience_of_a_run_that_is_stopped() -> None:
    """Also if it is stopped in the middle of an epoch."""

    def stop(event: Event) -> None:
        if isinstance(event, StepEnded) and event.epoch == 8 and event.fraction > 0.5:
            raise StopTraining

    model, history, weights = _run(stop, keep_best=True)
    assert len(history) == 7
    assert _best(history) < 7
    _assert_has(model, weights[_best(history) - 1])


def test_the_best_of_a_run_that_diverges() -> None:
    """The error names the epoch of the restored weights."""
    models: list[LanguageModel] = []
    original = LanguageModel.backpropagate

    def remember(self: LanguageModel, *arguments: Any) -> Any:
        models[:] = [self]
        return original(self, *arguments)

    def break_it(event: Event) -> None:
        if isinstance(event, StepEnded) and event.epoch == 9:
            nn.init.constant_(models[0].output.weight, math.nan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModel, "backpropagate", remember)
        with pytest.raises(TrainingDivergedError) as error:
            _run(break_it, keep_best=True)
    results = models[0].provenance["results"]
    assert results["epochs_trained"] == 8
    assert results["epoch"] < 8
    assert f"restored to its state at the end of epoch {results['epoch']}" in str(error.value)
    assert torch.isfinite(models[0].output.weight).all()


def test_the_last_samples_are_of_the_final_model() -> None:
    drawn: list[SampleDrawn] = []
    model, history, _ = _run(
        lambda event: drawn.append(event) if isinstance(event, SampleDrawn) else None,
        patience=2,
        sample_every=1000,
        prefix=("ab",),
        sample_chars=30,
    )
    from charloom import generate

    assert [(sample.epoch, sample.text) for sample in drawn] == [(_best(history), generate(model, "ab", 30))]


def test_overfitting_is_reported_once_with_advice() -> None:
    known: list[int] = []
    with pytest.warns(CharloomWarning, match=r"best after epoch \d+ \(.*\) and has risen to .*patience") as warned:
        _, history, _ = _run(lambda event: known.append(len(warned)) if isinstance(event, EpochEnded) else None)
    assert len(warned) == 1
    warned_at = known.index(1)  # epochs that had ended
    validation = [record.validation_perplexity or math.inf for record in history][:warned_at]
    best = validation.index(min(validation)) + 1
    assert best + 3 <= warned_at < len(history)
    assert f"best after epoch {best} " in str(warned[0].message)
    assert f"by epoch {warned_at}: " in str(warned[0].message)


def test_without_overfitting_there_is_no_warning() -> None:
    """Every warning is an error under test: neither a short rise nor a fall is reported."""
    _, history, _ = _run(epochs=2)
    assert len(history) == 2


@pytest.mark.parametrize("changes", [{"patience": 3}, {"keep_best": True}])
def test_patience_without_validation_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=rf"{next(iter(changes))} .* set validation_fraction"):
        TrainingSettings(**changes)
    assert TrainingSettings(keep_best=False).ends_with_best is False


@pytest.mark.parametrize("patience", [0, -1, 1.5, True])
def test_invalid_patience(patience: Any) -> None:
    with pytest.raises(SettingsError, match="patience"):
        dataclasses.replace(_SETTINGS, patience=patience)
