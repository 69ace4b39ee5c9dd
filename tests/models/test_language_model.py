import math
from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import charloom
from charloom import InputError, LanguageModel, ModelSettings, Vocabulary, build_model, layers
from native import Switch
from torch_settings import SETTINGS

_VOCABULARY = Vocabulary(list("etaoin shrdlu"))

_MODELS = st.builds(
    ModelSettings,
    cell=st.sampled_from(["rnn", "gru", "lstm"]),
    hidden_size=st.integers(1, 9),
    num_layers=st.integers(1, 3),
    embedding_size=st.none() | st.integers(1, 5),
    init_sigma=st.sampled_from([0.0, 0.5]),
)


def _ids(batch_size: int, num_steps: int) -> torch.Tensor:
    return torch.randint(len(_VOCABULARY), (batch_size, num_steps))


@settings(max_examples=30)
@given(model_settings=_MODELS, batch_size=st.integers(1, 3), num_steps=st.integers(1, 6))
def test_step_repeated_equals_forward(model_settings: ModelSettings, batch_size: int, num_steps: int) -> None:
    model = build_model(_VOCABULARY, model_settings, seed=1)
    ids = _ids(batch_size, num_steps)
    logits, last = model(ids)
    assert logits.shape == (num_steps, batch_size, len(_VOCABULARY))
    state = model.begin_state(batch_size)
    for t in range(num_steps):
        step_logits, state = model.step(ids[:, t], state)
        torch.testing.assert_close(step_logits, logits[t])
    torch.testing.assert_close(state, last)


def test_a_carried_state_equals_one_pass() -> None:
    model = build_model(_VOCABULARY, ModelSettings(cell="lstm", hidden_size=8, init_sigma=0.5))
    ids = _ids(2, 10)
    whole, _ = model(ids)
    first, state = model(ids[:, :4])
    rest, _ = model(ids[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, rest]), whole)


def test_forward_is_one_hot_input_layer_and_output() -> None:
    """The section's model, spelled out."""
    layer = layers.RNN(len(_VOCABULARY), 7)
    model = LanguageModel(layer, _VOCABULARY)
    ids = _ids(3, 5)
    one_hot = nn.functional.one_hot(ids.t(), len(_VOCABULARY)).float()
    outputs, state = nn.RNN.forward(layer, one_hot, torch.zeros(1, 3, 7))
    logits, last = model(ids, model.begin_state(3))
    torch.testing.assert_close(logits, outputs @ model.output.weight.t() + model.output.bias)
    torch.testing.assert_close(last, state)


def test_loss_is_the_mean_cross_entropy_of_each_next_token() -> None:
    model = build_model(_VOCABULARY, ModelSettings(cell="gru", hidden_size=6, init_sigma=0.5))
    ids, targets = _ids(3, 4), _ids(3, 4)
    loss, state = model.loss(ids, targets)
    probabilities = model(ids)[0].softmax(-1).tolist()
    nats = [-math.log(probabilities[t][b][targets[b, t]]) for b in range(3) for t in range(4)]
    assert loss.item() == pytest.approx(sum(nats) / 12, rel=1e-5)
    assert loss.requires_grad
    assert isinstance(state, torch.Tensor)
    assert not state.requires_grad


def test_initial_loss_is_that_of_a_uniform_guess() -> None:
    """The section's initial weights are small."""
    model = build_model(_VOCABULARY)
    assert model.loss(_ids(4, 9), _ids(4, 9))[0].item() == pytest.approx(math.log(len(_VOCABULARY)), abs=0.02)


def test_tied_output_shares_weights() -> None:
    tied = ModelSettings(cell="lstm", hidden_size=6, embedding_size=6, tied_output=True)
    model = build_model(_VOCABULARY, tied)
    assert model.embedding is not None
    assert model.output.weight is model.embedding.weight
    assert model.output.weight in set(model.parameters())
    names = [name for name, _ in model.named_parameters()]
    assert "output.weight" not in names or "embedding.weight" not in names


def test_dropout_in_training_only() -> None:
    model = build_model(_VOCABULARY, ModelSettings(hidden_size=32, dropout=0.5, embedding_size=8, init_sigma=0.5))
    ids = _ids(2, 3)
    assert not torch.allclose(model(ids)[0], model(ids)[0])
    model.eval()
    torch.testing.assert_close(model(ids)[0], model(ids)[0])


def test_initial_weights() -> None:
    """N(0, sigma) and zero biases, determined by the seed; sigma 0 keeps PyTorch's."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = build_model(_VOCABULARY, ModelSettings(hidden_size=100, init_sigma=0.03), seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    for name, parameter in model.named_parameters():
        if "bias" in name:
            assert not parameter.any()
        else:
            assert float(parameter.detach().std()) == pytest.approx(0.03, rel=0.1)
    again = build_model(_VOCABULARY, ModelSettings(hidden_size=100, init_sigma=0.03), seed=3)
    other = build_model(_VOCABULARY, ModelSettings(hidden_size=100, init_sigma=0.03), seed=4)
    assert torch.equal(model.output.weight, again.output.weight)
    assert not torch.equal(model.output.weight, other.output.weight)
    default = build_model(_VOCABULARY, ModelSettings(hidden_size=100, init_sigma=0))
    assert default.output.bias.any()


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (layers.RNN(5, 4), {}, "input_size is 5.*size of the vocabulary, 14"),
        (layers.RNN(14, 4), {"embedding_size": 3}, "input_size is 14.*embedding_size, 3"),
        (layers.RNN(14, 4, batch_first=True), {}, "batch_first"),
        (layers.RNN(14, 4, bidirectional=True), {}, "bidirectional"),
        (nn.RNN(14, 4), {}, "charloom.layers"),
        (layers.RNN(14, 4), {"tied_output": True}, "tied_output"),
        (layers.RNN(3, 4), {"tied_output": True, "embedding_size": 3}, "tied_output.*4, not 3"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_layer_that_does_not_fit_is_refused(layer: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LanguageModel(layer, _VOCABULARY, **options)


@pytest.mark.parametrize("bad", [torch.zeros(3, dtype=torch.int64), torch.zeros(2, 3)])
@pytest.mark.usefixtures("unchecked")
def test_invalid_ids_are_refused(bad: torch.Tensor) -> None:
    with pytest.raises(InputError, match="ids must be int64"):
        build_model(_VOCABULARY)(bad)


@pytest.mark.parametrize("bad", [[1], torch.zeros(2), torch.zeros((), dtype=torch.int64), torch.ones(2, 1).long()])
@pytest.mark.usefixtures("unchecked")
def test_invalid_ids_of_a_step_are_refused(bad: Any) -> None:
    model = build_model(_VOCABULARY)
    with pytest.raises(InputError, match="ids must be"):
        model.step(bad, model.begin_state(2))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("way", ["loss", "backpropagate", "forward"])
@pytest.mark.parametrize("kernels", ["auto", "pytorch"])
@pytest.mark.usefixtures("unchecked")
def test_invalid_states_are_refused(cell: Any, way: str, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    model, ids = build_model(_VOCABULARY, ModelSettings(cell=cell, hidden_size=4)), _ids(2, 3)
    part = torch.zeros(1, 2, 4)
    arguments = (ids,) if way == "forward" else (ids, ids)
    for bad in ((part,), [part], (part, part, part), 3, torch.zeros(1, 3, 4), part if cell == "lstm" else (part, part)):
        with pytest.raises(InputError, match="the state is"):
            getattr(model, way)(*arguments, bad)


@pytest.mark.parametrize("wrong", [-100, -1, len(_VOCABULARY)])
@pytest.mark.parametrize("setting", ["plain", "FLOP counter", "dispatch mode", "compiled"])
@pytest.mark.usefixtures("unchecked")
def test_targets_outside_the_vocabulary_are_never_ignored(setting: str, wrong: int) -> None:
    model, ids = build_model(_VOCABULARY, ModelSettings(hidden_size=4)), _ids(2, 3)
    loss = torch.compile(model.loss, backend="eager") if setting == "compiled" else model.loss
    targets = ids.clone()
    targets[1, 1] = wrong
    name = {"FLOP counter": "FLOP counter", "dispatch mode": "torch dispatch mode"}.get(setting, "enable_grad")
    with SETTINGS[name](), pytest.raises((InputError, IndexError, RuntimeError)):
        loss(ids, targets)


def test_shapes_are_checked_under_test() -> None:
    """A batch size that differs between two arguments is detected."""
    model = build_model(_VOCABULARY)
    with pytest.raises(jaxtyping.TypeCheckError):
        model.loss(_ids(2, 3), _ids(3, 3))


def test_implements_the_protocol() -> None:
    assert isinstance(build_model(_VOCABULARY), charloom.Predictor)
