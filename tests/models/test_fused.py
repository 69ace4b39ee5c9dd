"""``loss``, ``backpropagate`` and training equal ``forward`` with cross-entropy."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import charloom
from charloom import CharloomError, LanguageModel
from customized_models import CORPUS, CUSTOMIZED, VOCABULARY, WRONG
from customized_models import model as make_model
from native import Switch
from torch_comparison import Refusal, differing, outcome
from torch_settings import SETTINGS

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]


def _batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator(device="cpu").manual_seed(1)
    tokens = torch.randint(len(VOCABULARY), (3, 8), generator=generator, device="cpu")
    return tokens[:, :-1], tokens[:, 1:]


def _by_forward(model: LanguageModel) -> Tensor:
    ids, targets = _batch()
    logits, _ = model(ids)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.t().flatten())
    loss.backward()
    return loss


def _by_loss(model: LanguageModel) -> Tensor:
    loss, _ = model.loss(*_batch())
    loss.backward()
    return loss


def _by_backpropagate(model: LanguageModel) -> Tensor:
    return model.backpropagate(*_batch())[0]


_WAYS: dict[str, Callable[[LanguageModel], Tensor]] = {"loss": _by_loss, "backpropagate": _by_backpropagate}


def _step(model: LanguageModel, way: Callable[[LanguageModel], Tensor]) -> Any:
    """Returns the loss and all gradients, after one call and after a second one, accumulated."""
    torch.manual_seed(2)
    first = way(model).detach()
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    second = way(model).detach()
    return first, gradients, second, [None if p.grad is None else p.grad.to_dense() for p in model.parameters()]


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("name", CUSTOMIZED)
def test_loss_equals_that_of_forward(name: str, way: str) -> None:
    expected = _step(CUSTOMIZED[name](), _by_forward)
    differences = list(differing(_step(CUSTOMIZED[name](), _WAYS[way]), expected))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("setting", sorted(SETTINGS.keys() - {"fake tensors", "autocast"}))
def test_loss_under_a_setting(setting: str, way: str) -> None:
    found: list[Any] = []
    expected: list[Any] = []
    for name in ("plain", "plain LSTM"):
        for results, step in ((expected, _by_forward), (found, _WAYS[way])):
            model = CUSTOMIZED[name]()
            with SETTINGS[setting]():
                results.append(outcome(_step, model, step))
    differences = list(differing(found, expected))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("name", WRONG)
def test_refusals_equal_those_of_forward(name: str, way: str) -> None:
    """By an error of PyTorch's, or by charloom's own that states the fault."""
    assert isinstance(outcome(_by_forward, WRONG[name]()), Refusal)
    refused = outcome(_WAYS[way], WRONG[name]())
    assert isinstance(refused, Refusal)
    assert issubclass(refused.kind, RuntimeError | IndexError | ValueError | CharloomError), refused


@pytest.mark.parametrize("name", [*CUSTOMIZED, *WRONG])
def test_generation_equals_forward_and_step(name: str, compute_by: Switch) -> None:
    """The same text as without kernels, or a refusal by PyTorch's error or charloom's own."""
    make = (CUSTOMIZED | WRONG)[name]
    found = outcome(charloom.generate, make(), "the", 20)
    compute_by("pytorch")
    assert not list(differing(found, outcome(charloom.generate, make(), "the", 20)))
    assert isinstance(found, str) or issubclass(found.kind, RuntimeError | IndexError | ValueError | CharloomError)


@pytest.mark.parametrize("name", sorted(CUSTOMIZED.keys() - {"forward hook on the state"}))  # depends on the chunks
def test_evaluation_and_generation_call_the_model(name: str) -> None:
    """With its hooks, in ``eval`` mode."""
    model, text = CUSTOMIZED[name]().eval(), CORPUS.text[:60]
    ids = VOCABULARY.encode(text)
    with torch.no_grad():
        logits, state = model(ids[None, :1].repeat(1, 1), model.begin_state(1))
        nats = [functional.cross_entropy(logits[-1].double(), ids[1:2])]
        for place in range(1, len(ids) - 1):
            logits, state = model(ids[None, place : place + 1], state)
            nats.append(functional.cross_entropy(logits[-1].double(), ids[place + 1 : place + 2]))
    found = charloom.evaluate(model, text).nats_per_char
    assert found == pytest.approx(float(torch.stack(nats).mean()), rel=1e-4)


class _OtherLoss(LanguageModel):
    def loss(self, ids: Any, targets: Any, state: Any = None) -> Any:
        loss, state = super().loss(ids, targets, state)
        return loss * 2, state


def test_an_overridden_loss_is_trained() -> None:
    plain, subclass, patched = make_model(), make_model(_OtherLoss), make_model()
    loss = patched.loss
    patched.loss = lambda *arguments: (loss(*arguments)[0] * 2, None)  # type: ignore[method-assign,assignment]
    expected = 2 * plain.backpropagate(*_batch())[0]
    for own in (subclass, patched):
        torch.testing.assert_close(own.backpropagate(*_batch())[0], expected)
        for parameter, once in zip(own.parameters(), plain.parameters(), strict=True):
            assert once.grad is not None
            torch.testing.assert_close(parameter.grad, 2 * once.grad)


@pytest.mark.parametrize("way", _WAYS)
def test_ids_of_a_larger_output_count(way: str) -> None:
    """Only the replaced output layer has these targets."""

    def shifted(step: Callable[[LanguageModel, Tensor, Tensor], Tensor]) -> Any:
        model, (ids, targets) = CUSTOMIZED["output larger"](), _batch()
        return outcome(lambda: step(model, ids, targets + 150).detach())

    def by_forward(model: LanguageModel, ids: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(model(ids)[0].flatten(0, 1), targets.t().flatten())

    found = shifted(lambda model, ids, targets: getattr(model, way)(ids, targets)[0])
    assert not list(differing(found, shifted(by_forward)))


@pytest.mark.parametrize("name", CUSTOMIZED)
def test_functional_call(name: str) -> None:
    if name in ("bfloat16", "float64"):
        pytest.skip("equals plain")
    model = CUSTOMIZED[name]()
    values = {key: (value * 1.5).detach().requires_grad_() for key, value in model.named_parameters()}
    ids, targets = _batch()

    class Loss(torch.nn.Module):
        def __init__(self, by: str) -> None:
            super().__init__()
            self.model, self.by = model, by

        def forward(self) -> Tensor:
            if self.by == "loss":
                return self.model.loss(ids, targets)[0]
            return functional.cross_entropy(self.model(ids)[0].flatten(0, 1), targets.t().flatten())

    results = []
    for by in ("loss", "forward"):
        loss = torch.func.functional_call(Loss(by), {f"model.{key}": value for key, value in values.items()}, ())
        results.append((loss, torch.autograd.grad(loss, list(values.values()), allow_unused=True)))
    differences = list(differing(results[0], results[1]))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("name", sorted(CUSTOMIZED.keys() - {"embedding sparse", "bfloat16", "float64"}))
def test_trained_and_saved(name: str, tmp_path: Path) -> None:
    """Training changes every parameter that forward uses; a saved model gives the same logits, or is not saved."""
    model = CUSTOMIZED[name]()
    expected = _step(CUSTOMIZED[name](), _by_forward)[1]
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    charloom.train(model, CORPUS, charloom.TrainingSettings(epochs=1, batch_size=4, num_steps=8))
    for key, value in model.named_parameters():
        moves = expected[key] is not None and bool(expected[key].any())
        assert torch.equal(value, before[key]) != moves, key
    saved = outcome(model.save, tmp_path / "model")
    if isinstance(saved, Refusal):
        assert issubclass(saved.kind, CharloomError), saved
        assert not (tmp_path / "model" / "model.safetensors").exists()
        return
    loaded = LanguageModel.load(tmp_path / "model")
    torch.testing.assert_close(_two_calls(loaded), _two_calls(model.eval()))


def _two_calls(model: LanguageModel) -> tuple[Tensor, Tensor]:
    """Returns the logits from the model's initial state."""
    ids, _ = _batch()
    first, state = model(ids, model.begin_state(len(ids)))
    return first, model(ids, state)[0]


def test_a_layer_of_torch_in_bfloat16() -> None:
    """The kernels do not compute its products."""
    model, ids = CUSTOMIZED["layer of torch.nn"](), _batch()
    model.precision = "bfloat16"
    with torch.autocast("cpu", torch.bfloat16):
        expected = CUSTOMIZED["layer of torch.nn"]().loss(*ids)[0]
    assert torch.equal(model.loss(*ids)[0], expected)


@pytest.mark.parametrize("way", _WAYS)
def test_a_patched_class_is_not_computed_by_the_kernels(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = LanguageModel.forward

    def halved(self: LanguageModel, ids: Tensor, state: Any = None) -> Any:
        logits, state = forward(self, ids, state)
        return logits / 2, state

    monkeypatch.setattr(LanguageModel, "forward", halved)
    assert not list(differing(_step(make_model(), _WAYS[way]), _step(make_model(), _by_forward)))
