"""Loss and all gradients in one native call, against the same model computed by PyTorch."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import charloom
from charloom import InputError, LanguageModel, ModelSettings, Vocabulary
from charloom.models.fused import prepare_native_step
from charloom.recurrence.threads import use_threads
from examples import examples
from native import INSTRUCTION_SETS, Switch, switching

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _model(vocabulary_size: int = 11, **model_settings: Any) -> LanguageModel:
    vocabulary = Vocabulary.of_text("".join(chr(0x4E00 + i) for i in range(vocabulary_size - 1)))
    assert len(vocabulary) == vocabulary_size
    return charloom.build_model(vocabulary, ModelSettings(**({"hidden_size": 20, "init_sigma": 0} | model_settings)))


def _text(model: LanguageModel, batch: int, steps: int) -> tuple[Tensor, Tensor]:
    ids = torch.randint(len(model.vocabulary), (batch + 1, 2 * steps + 1))
    return ids[1:, :-1:2], ids[1:, 1::2]  # strides of a view


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _results(model: LanguageModel, ids: Tensor, targets: Tensor, state: Any) -> list[Tensor]:
    model.zero_grad()
    loss, last = model.loss(ids, targets, state)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [loss.detach(), *_parts(last), *gradients]


def _assert_close(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-5) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert float((a - b).norm()) <= tolerance * float(b.norm()) + 3e-7 * b.numel() ** 0.5


@settings(max_examples=examples(30))
@given(data=st.data())
def test_equals_pytorch(data: st.DataObject) -> None:
    hidden_size = data.draw(st.sampled_from([1, 4, 20, 31, 32, 33, 64, 70]))
    tied = data.draw(st.booleans())
    embedding = hidden_size if tied else data.draw(st.sampled_from([None, 1, 9, 40]))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    cell = data.draw(st.sampled_from(["rnn", "gru", "lstm"]))
    model = _model(
        data.draw(st.sampled_from([2, 3, 11, 44, 65, 300])),
        cell=cell,
        nonlinearity="relu" if cell == "rnn" and data.draw(st.booleans()) else "tanh",
        hidden_size=hidden_size,
        num_layers=data.draw(st.integers(1, 3)),
        embedding_size=embedding,
        tied_output=tied,
    )
    batch = data.draw(st.integers(1, 14))
    ids, targets = _text(model, batch, data.draw(st.integers(1, 8)))
    zeros = model.begin_state(batch)
    state: Any = tuple(torch.randn_like(z) for z in _parts(zeros))
    if not isinstance(zeros, tuple):
        state = state[0]
    if data.draw(st.booleans()):
        state = None
    with switching() as compute_by:
        compute_by("pytorch")
        expected = _results(model, ids, targets, state)
        compute_by(data.draw(st.sampled_from(INSTRUCTION_SETS)))
        assert prepare_native_step(model, ids, targets, state) is not None
        _assert_close(_results(model, ids, targets, state), expected)
        model.zero_grad()
        loss, last = model.backpropagate(ids, targets, state)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        _assert_close([loss, *_parts(last), *gradients], expected)


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_bfloat16_is_within_two_percent(cell: str, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    torch.manual_seed(0)
    model = _model(44, cell=cell, hidden_size=100, num_layers=2, embedding_size=24)
    ids, targets = _text(model, 33, 20)
    expected = _results(model, ids, targets, None)
    model.precision = "bfloat16"
    found = _results(model, ids, targets, None)
    _assert_close(found, expected, 0.02)
    assert not torch.equal(found[-1], expected[-1])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_change_no_bit(precision: Any) -> None:
    model = _model(50, cell="lstm", num_layers=2, embedding_size=30, hidden_size=64, dropout=0.2)
    model.precision = precision
    ids, targets = _text(model, 37, 12)
    results = []
    for number in (1, 2, 3):
        with use_threads(number):
            torch.manual_seed(1)
            results.append(_results(model, ids, targets, None))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_dropout_is_determined_by_the_seed_and_unbiased() -> None:
    model = _model(cell="gru", num_layers=2, embedding_size=16, hidden_size=64, dropout=0.4)
    ids, targets = _text(model, 8, 6)

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return float(model.loss(ids, targets)[0].detach())

    assert loss(3) == loss(3)
    losses = [loss(seed) for seed in range(60)]
    assert len(set(losses)) == 60
    whole = float(model.eval().loss(ids, targets)[0].detach())
    assert loss(1) == loss(2) == whole
    spread = torch.tensor(losses).std()
    assert abs(torch.tensor(losses).mean() - whole) < spread


@pytest.mark.parametrize("name", ["embedding.weight", "layer.weight_ih_l1", "output.weight"])
def test_dropout_is_the_same_in_the_backward_pass(name: str) -> None:
    """Finite differences of the loss under one mask equal the gradients."""
    model = _model(cell="lstm", num_layers=2, embedding_size=8, hidden_size=16, dropout=0.3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    ids, targets = _text(model, 4, 5)
    parameter = model.get_parameter(name)
    torch.manual_seed(5)
    _results(model, ids, targets, None)
    gradient = parameter.grad
    assert gradient is not None
    direction = gradient.detach() / gradient.norm()
    losses = []
    for sign in (-1, 1):
        with torch.no_grad():
            parameter.add_(direction, alpha=sign * 0.02)
        torch.manual_seed(5)
        losses.append(float(model.loss(ids, targets)[0].detach()))
        with torch.no_grad():
            parameter.add_(direction, alpha=-sign * 0.02)
    assert (losses[1] - losses[0]) / 0.04 == pytest.approx(float(gradient.norm()), rel=0.02)


@pytest.mark.usefixtures("unchecked")
def test_arguments_that_do_not_fit_are_refused() -> None:
    model = _model()
    ids, targets = _text(model, 3, 4)
    for wrong in (-1, len(model.vocabulary), 2**40):
        with pytest.raises(InputError, match="not in the vocabulary of 11 tokens"):
            model.loss(torch.full_like(ids, wrong), targets)
        with pytest.raises(InputError, match="not in the vocabulary of 11 tokens"):
            model.backpropagate(ids, torch.full_like(ids, wrong))
    with pytest.raises(InputError, match=r"the state is .*4, 20.* it must be .*3, 20"):
        model.loss(ids, targets, model.begin_state(4))
    with pytest.raises(InputError, match="different shapes"):
        model.loss(ids, targets[:, :-1])


def test_divergence_is_detected() -> None:
    for cell in ("rnn", "gru", "lstm"):
        model = _model(cell=cell)
        ids, targets = _text(model, 3, 4)
        with torch.no_grad():
            model.get_parameter("layer.weight_hh_l0")[0, 0] = float("nan")
        assert torch.isnan(model.loss(ids, targets)[0])


def test_backward_scales_and_accumulates() -> None:
    model = _model(cell="gru")
    ids, targets = _text(model, 3, 4)
    frozen = model.get_parameter("layer.bias_hh_l0").requires_grad_(False)
    once = _results(model, ids, targets, None)[2:]
    assert frozen.grad is None
    loss, _ = model.loss(ids, targets)
    (2 * loss).backward()  # type: ignore[no-untyped-call]
    for gradient, parameter in zip(once, [p for p in model.parameters() if p.requires_grad], strict=True):
        torch.testing.assert_close(parameter.grad, 3 * gradient)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()  # type: ignore[no-untyped-call]
    model.backpropagate(ids, targets)
    torch.testing.assert_close(model.output.weight.grad, 4 * once[-2])


def test_pytorch_computes_what_the_kernels_do_not_support() -> None:
    model = _model(cell="lstm")
    ids, targets = _text(model, 3, 4)
    expected = _results(model, ids, targets, None)
    assert prepare_native_step(model, ids, targets, None) is not None
    seen = []
    handle = model.layer.register_forward_hook(lambda *_: seen.append(1))
    _assert_close(_results(model, ids, targets, None), expected)
    handle.remove()
    assert seen
    hooked = model.output.bias.register_hook(lambda gradient: gradient * 2)  # type: ignore[no-untyped-call]
    model.zero_grad()
    model.backpropagate(ids, targets)
    torch.testing.assert_close(model.output.bias.grad, 2 * expected[-1])
    hooked.remove()
    state: Any = tuple(part.requires_grad_() for part in _parts(model.begin_state(3)))
    (to_state,) = torch.autograd.grad(model.loss(ids, targets, state)[0], state[0])
    assert to_state.any()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(model.loss(ids, targets)[0], expected[0])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model.loss(ids, targets)[0].detach(), expected[0], rtol=0.02, atol=0)
    double = model.double()
    _assert_close([t.float() for t in _results(double, ids, targets, None)], expected)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_autocast_equals_pytorchs(cell: str, compute_by: Switch) -> None:
    model = _model(cell=cell, num_layers=2, embedding_size=8)
    ids, targets = _text(model, 3, 4)
    results = []
    for path in ("auto", "pytorch"):
        compute_by(path)
        with torch.autocast("cpu", torch.bfloat16):
            results.append(_results(model, ids, targets, None))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_bfloat16_without_kernels_equals_pytorchs(cell: str, compute_by: Switch) -> None:
    """The path of a GPU: factors of products are rounded; weights, gradients, loss and the carried state are not."""
    compute_by("pytorch")
    model = _model(cell=cell, num_layers=2, embedding_size=8)
    ids, targets = _text(model, 3, 4)
    exact = _results(model, ids, targets, None)
    model.precision = "bfloat16"
    rounded = _results(model, ids, targets, None)
    assert all(tensor.dtype == torch.float32 for tensor in rounded)
    assert not any(torch.equal(one, other) for one, other in zip(rounded, exact, strict=True))
    for one, other in zip(rounded, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.02 * float(other.abs().max()))


@pytest.mark.filterwarnings("ignore")
def test_anomaly_mode_finds_a_nan() -> None:
    model = _model()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan values"):
        model.backpropagate(*_text(model, 2, 3))
