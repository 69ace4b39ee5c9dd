"""Listeners get the events of a run in order, and may end it."""

import math

import pytest
import torch

from charloom import (
    Corpus,
    LanguageModel,
    ModelSettings,
    TrainingDivergedError,
    TrainingSettings,
    build_model,
    corpus_from,
    train,
)
from charloom.training.events import EpochEnded, Event, SampleDrawn, StepEnded, StopTraining

_QUICK = TrainingSettings(
    batch_size=4, num_steps=10, epochs=3, optimizer="adamw", learning_rate=0.01, device="cpu", sample_every=0
)


@pytest.fixture
def corpus(text: str) -> Corpus:
    return corpus_from(text, name="text")


def _model(corpus: Corpus) -> LanguageModel:
    return build_model(corpus.vocabulary, ModelSettings("gru", hidden_size=16), seed=1)


def _with(**changes: object) -> TrainingSettings:
    return TrainingSettings(**vars(_QUICK) | changes)


def test_events_come_in_order(corpus: Corpus) -> None:
    events: list[Event] = []
    settings = _with(epochs=3, sample_every=2, prefix=("It was", "the"), sample_chars=7)
    history = train(_model(corpus), corpus, settings, listeners=[events.append])
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert [event.record for event in events if isinstance(event, EpochEnded)] == list(history)
    samples = [event for event in events if isinstance(event, SampleDrawn)]
    assert [(s.epoch, s.text[:6], len(s.text)) for s in samples if s.text.startswith("It")] == [
        (2, "It was", 13),
        (3, "It was", 13),
    ]
    assert len(samples) == 4
    assert [step.fraction for step in steps if step.epoch == 1][-1] == 1.0
    assert sorted(steps, key=lambda step: (step.epoch, step.fraction)) == steps
    last_loss = float([step for step in steps if step.epoch == 1][-1].mean_loss)
    assert history[0].perplexity == pytest.approx(math.exp(last_loss))


def test_a_listener_may_stop_it(corpus: Corpus) -> None:
    def stop_in_the_second_epoch(event: Event) -> None:
        if isinstance(event, StepEnded) and event.epoch == 2:
            raise StopTraining

    model = _model(corpus)
    history = train(model, corpus, _with(epochs=50), listeners=[stop_in_the_second_epoch])
    assert len(history) == 1
    assert not model.training
    assert model.provenance["results"]["epoch"] == 1


def test_weights_later_than_the_record_are_recorded(corpus: Corpus) -> None:
    """A run that is stopped within an epoch, or diverges there; the latter has the weights of the epoch before."""
    model = _model(corpus)

    def stop(event: Event) -> None:
        steps.append(isinstance(event, StepEnded) and event.epoch == 2)
        if sum(steps) == 3:
            raise StopTraining

    def diverge(event: Event) -> None:
        if isinstance(event, StepEnded) and event.epoch == 2:
            torch.nn.init.constant_(model.output.weight, math.nan)

    steps: list[bool] = []
    train(model, corpus, _QUICK, listeners=[stop])
    assert model.provenance["results"]["epoch"] == 1
    assert model.provenance["results"]["minibatches_after_epoch"] == 3
    with pytest.raises(TrainingDivergedError):
        train(model, corpus, _QUICK, listeners=[diverge])
    assert "minibatches_after_epoch" not in model.provenance["results"]
    train(model, corpus, _QUICK)
    assert "minibatches_after_epoch" not in model.provenance["results"]


def test_other_exceptions_of_a_listener_pass(corpus: Corpus) -> None:
    def fail(_: Event) -> None:
        raise KeyError("mine")

    model = _model(corpus)
    with pytest.raises(KeyError, match="mine"):
        train(model, corpus, _QUICK, listeners=[fail])
    assert not model.training
