"""Models with more layers than the kernels' arrays hold: computed layer by layer, with the same results."""

from typing import Any

import pytest
import torch

import charloom
from charloom import LanguageModel, ModelSettings, SamplingSettings, Vocabulary
from charloom.models.fused import native_generator, prepare_native_step
from charloom.recurrence.backend import Backend, backend, kernels_named
from native import INSTRUCTION_SETS, Switch

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
_MAX = kernels_named(INSTRUCTION_SETS[0]).max_layers if INSTRUCTION_SETS else 0


class _WithoutLimit:
    """Kernels that claim to take any number of layers."""

    max_layers = 1000

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)


_VOCABULARY = Vocabulary.of_text("abcdefghij")


def _model(cell: str, num_layers: int) -> LanguageModel:
    settings = ModelSettings(cell=cell, num_layers=num_layers, hidden_size=6, init_sigma=0)  # type: ignore[arg-type]
    return charloom.build_model(_VOCABULARY, settings, seed=1)


@pytest.mark.parametrize("num_layers", [64, 65, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_loss_gradients_and_text_equal_those_of_pytorch(cell: str, num_layers: int, compute_by: Switch) -> None:
    model = _model(cell, num_layers)
    ids, targets = torch.randint(1, 11, (2, 3, 5))
    sampling = SamplingSettings(temperature=1.0, seed=2)
    found = []
    for kernels in ("auto", "pytorch"):
        compute_by(kernels)
        model.zero_grad()
        loss, _ = model.backpropagate(ids, targets)
        by_autograd, _ = model.loss(ids, targets)
        gradients = [p.grad for p in model.parameters()]
        found.append([loss, by_autograd.detach(), *gradients])
        found[-1].append(_VOCABULARY.encode(charloom.generate(model, "abc", 20, sampling)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    compute_by("auto")
    whole = num_layers <= _MAX
    assert (prepare_native_step(model, ids, targets, None) is not None) == whole
    assert (model.make_generator() is not None) == whole


def test_the_kernels_refuse_more_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any caller: they would write beyond their arrays."""
    model = _model("gru", _MAX + 1)
    without_limit: Any = _WithoutLimit(backend().kernels)
    monkeypatch.setattr("charloom.models.fused.backend", lambda: Backend("", without_limit))
    with pytest.raises(ValueError, match=f"the number of layers is {_MAX + 1}: it must be from 1 to {_MAX}"):
        native_generator(model, "float32")
    ids = torch.ones(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="the number of layers is"):
        model.loss(ids, ids)
