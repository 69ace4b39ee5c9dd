import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import ModelSettings, SettingsError, TrainingSettings, build_model, load_corpus, train
from charloom.training.truncated_bptt import make_optimizer, set_learning_rate

_CONSTANT = TrainingSettings(
    batch_size=4, num_steps=10, epochs=10, optimizer="adamw", learning_rate=0.01, device="cpu", sample_every=0
)


def _rates(**changes: Any) -> Callable[[float], float]:
    """Returns the rates after numbers of epochs, of an optimizer that had another rate."""
    settings = dataclasses.replace(_CONSTANT, **changes)

    def rate(epochs: float) -> float:
        optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=7.0)
        set_learning_rate(optimizer, settings, epochs)
        found: float = optimizer.param_groups[0]["lr"]
        return found

    return rate


def test_constant() -> None:
    """The optimizer's own rate is kept."""
    rate = _rates()
    assert [rate(epochs) for epochs in (0.0, 0.3, 5.0)] == [7.0] * 3


def test_cosine() -> None:
    """A cosine after a short warm-up; bit-identical to earlier versions."""
    rate = _rates(schedule="cosine")
    assert rate(0.0) == pytest.approx(0.01 * 0.02)
    assert rate(0.25) < rate(0.5) > rate(1.0) > rate(3.0)
    assert rate(5.0) == pytest.approx(0.01 / 2)
    assert 0 < rate(9.99) < 1e-6
    for epochs in (0.0, 0.1, 0.49, 0.5, 3.7, 9.9):
        before = 0.01 * min(1.0, 0.02 + epochs / 0.5) * (0.5 + 0.5 * math.cos(math.pi * epochs / 10))
        assert rate(epochs) == before
        assert _rates(schedule="cosine", warmup_epochs=0.5)(epochs) == before


def test_step() -> None:
    rate = _rates(schedule="step", decay_every=3, decay_factor=0.1)
    rates = [rate(epochs) for epochs in (0.0, 2.99, 3.0, 5.5, 6.0, 9.0)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 1e-4, 1e-5])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_warm_up(schedule: str) -> None:
    """A linear rise, then the schedule unchanged; 0 epochs are no warm-up."""
    rate, without = _rates(schedule=schedule, warmup_epochs=2), _rates(schedule=schedule, warmup_epochs=0)
    height = _rates(schedule="cosine", warmup_epochs=0) if schedule == "cosine" else lambda _: 0.01
    assert rate(0.0) == pytest.approx(0.02 * 0.01)
    assert rate(1.0) == pytest.approx(0.52 * height(1.0))
    assert [rate(epochs) for epochs in (2.0, 5.0)] == [height(epochs) for epochs in (2.0, 5.0)]
    assert without(0.0) == (7.0 if schedule == "constant" else 0.01)


@pytest.mark.parametrize(
    "schedule", [{"schedule": "cosine"}, {"schedule": "step", "decay_every": 3}, {"warmup_epochs": 1}]
)
def test_training_by_a_schedule(schedule: dict[str, Any], text: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(text)
    corpus = load_corpus(tmp_path / "text.txt")
    model = build_model(corpus.vocabulary, ModelSettings("gru", hidden_size=16), seed=1)
    history = train(model, corpus, dataclasses.replace(_CONSTANT, **schedule))
    assert history[-1].perplexity < history[0].perplexity / 2


@pytest.mark.parametrize(("optimizer", "default"), [("sgd", 0.0), ("adamw", 0.01)])
def test_weight_decay(optimizer: Any, default: float, text: str, tmp_path: Path) -> None:
    """PyTorch's default if none is set; otherwise weights shrink by it times the rate, for any gradient."""
    (tmp_path / "text.txt").write_text(text)
    model = build_model(load_corpus(tmp_path / "text.txt").vocabulary, ModelSettings(hidden_size=4), seed=1)
    settings = dataclasses.replace(_CONSTANT, optimizer=optimizer)
    assert make_optimizer(model.parameters(), settings).param_groups[0]["weight_decay"] == default
    decaying = make_optimizer(model.parameters(), dataclasses.replace(settings, weight_decay=2.0))
    before = model.output.weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    decaying.step()
    torch.testing.assert_close(model.output.weight, before * (1 - 0.01 * 2.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "linear"},
        {"warmup_epochs": -1},
        {"decay_every": 0},
        {"decay_factor": 0},
        {"decay_factor": 1.5},
        {"weight_decay": -0.1},
        {"weight_decay": math.inf},
    ],
)
def test_invalid_settings(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(changes))):
        dataclasses.replace(_CONSTANT, **changes)
