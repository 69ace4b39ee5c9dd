"""Gradients accumulated over parts of a batch train as the whole batch does."""

import dataclasses
from typing import Any

import pytest
import torch

from charloom import LanguageModel, ModelSettings, SettingsError, TrainingSettings, build_model, train
from charloom.training.events import Event, StepEnded
from interrupted_runs import corpus_of
from native import Switch

_CORPUS = corpus_of("A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 4)
_SETTINGS = TrainingSettings(
    batch_size=6, num_steps=10, epochs=2, learning_rate=0.5, clip_norm=0.1, device="cpu", sample_every=0
)


def _run(model_settings: ModelSettings, **changes: Any) -> tuple[LanguageModel, list[float]]:
    model = build_model(_CORPUS.vocabulary, model_settings, seed=1)
    losses: list[float] = []

    def keep(event: Event) -> None:
        if isinstance(event, StepEnded):
            losses.append(float(event.mean_loss))

    train(model, _CORPUS, dataclasses.replace(_SETTINGS, **changes), listeners=[keep])
    return model, losses


@pytest.mark.parametrize("path", ["auto", pytest.param("pytorch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("partitioning", ["sequential", "random"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_equals_the_larger_batch(cell: Any, partitioning: str, path: str, compute_by: Switch) -> None:
    """The state is carried in every lane; clipping applies to the accumulated gradient."""
    compute_by(path)
    settings = ModelSettings(cell, hidden_size=8, num_layers=2, init_sigma=0.2)
    whole, expected = _run(settings, partitioning=partitioning)
    for parts in (2, 3, 6):
        model, losses = _run(
            settings, partitioning=partitioning, batch_size=6 // parts, gradient_accumulation_steps=parts
        )
        assert losses == pytest.approx(expected, rel=1e-5)
        for name, tensor in whole.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_text_must_fill_all_parts() -> None:
    with pytest.raises(SettingsError, match=r"a training step of .* needs 1201"):
        _run(ModelSettings(hidden_size=4), gradient_accumulation_steps=20)
