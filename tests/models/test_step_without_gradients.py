"""``LanguageModel.step`` without gradients: one native call, with the results and errors of ``forward``."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import charloom
from charloom import LanguageModel
from charloom.models import fused
from charloom.recurrence.threads import use_threads
from customized_models import CUSTOMIZED, VOCABULARY, WRONG
from customized_models import model as make_model
from native import INSTRUCTION_SETS, Switch, switching
from torch_comparison import differing, outcome
from torch_equivalent import CELLS
from torch_settings import SETTINGS

pytestmark = [
    pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("unchecked"),
]
_NATIVE = {
    *("plain", "plain RNN", "plain LSTM", "tied", "tied, then not", "tied, then loaded by assignment", "tied by hand"),
    *("subclass with another first state", "subclass with another step", "step of an instance"),
    *("output frozen", "layer frozen"),
    *("layer without bias", "embedding frozen", "dropout in eval", "tensor hook", "gradients beforehand"),
    *("replaced weights", "restored layer", "frozen"),
}
"""Customized models whose ``step`` the kernels compute."""


@pytest.fixture
def native_steps(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Records of each call of ``step`` whether the kernels computed it."""
    calls: list[bool] = []
    infer = fused.infer_step_natively

    def recorded(*arguments: Any) -> Any:
        found = infer(*arguments)
        calls.append(found is not None)
        return found

    monkeypatch.setattr("charloom.models.language_model.infer_step_natively", recorded)
    return calls


@torch.no_grad()
def _steps(model: Any) -> Any:
    """Returns logits and state after each of three steps of two sequences."""
    torch.manual_seed(2)
    state, results = model.begin_state(2), []
    for ids in torch.tensor([[3, 0], [3, 1], [0, 5]], device="cpu"):
        logits, state = model.step(ids, state)
        results.append((logits, state))
    return results


@pytest.mark.parametrize("name", [*CUSTOMIZED, *WRONG])
def test_customized_models(name: str, compute_by: Switch, native_steps: list[bool]) -> None:
    make = (CUSTOMIZED | WRONG)[name]
    found = outcome(_steps, make())
    assert any(native_steps) == all(native_steps) == (name in _NATIVE)
    compute_by("pytorch")
    differences = list(differing(found, outcome(_steps, make())))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("setting", SETTINGS)
def test_under_a_setting(setting: str, compute_by: Switch) -> None:
    found: list[Any] = []
    expected: list[Any] = []
    for backend, results in (("auto", found), ("pytorch", expected)):
        compute_by(backend)
        for name in ("plain", "plain LSTM"):
            model = CUSTOMIZED[name]()
            with SETTINGS[setting]():
                results.append(outcome(_steps, model))
    differences = list(differing(found, expected))
    assert not differences, "\n".join(differences)


def _small_model(data: st.DataObject) -> LanguageModel:
    _, layer_class, options = data.draw(st.sampled_from(CELLS))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    embedding_size = data.draw(st.sampled_from([None, 1, 7, 40]))
    layer = layer_class(
        embedding_size or len(VOCABULARY),
        data.draw(st.sampled_from([1, 5, 16, 33, 64])),
        num_layers=data.draw(st.integers(1, 3)),
        bias=data.draw(st.booleans()),
        **options,
    )
    model = LanguageModel(
        layer, VOCABULARY, embedding_size=embedding_size, dropout=data.draw(st.sampled_from([0, 0.5]))
    )
    if data.draw(st.booleans()):
        # A larger vocabulary than the text's: several panels of logits, the last one incomplete.
        model.vocabulary = VOCABULARY.extended("".join(map(chr, range(0x400, 0x400 + data.draw(st.integers(1, 200))))))
        model = LanguageModel(
            layer_class(embedding_size or len(model.vocabulary), layer.hidden_size, **options),
            model.vocabulary,
            embedding_size=embedding_size,
        )
    return model.eval()


@settings(max_examples=80)
@given(data=st.data())
def test_equals_forward_and_to_the_last_bit_for_every_batch(data: st.DataObject) -> None:
    model = _small_model(data)
    model.precision = data.draw(st.sampled_from(["float32", "float32", "bfloat16", "int8"]))
    if data.draw(st.booleans()):
        charloom.freeze(model)
    batch, steps = data.draw(st.integers(1, 11)), data.draw(st.integers(1, 4))
    ids = torch.randint(len(model.vocabulary), (batch, steps))
    with switching() as compute_by, torch.no_grad():
        compute_by(data.draw(st.sampled_from(INSTRUCTION_SETS)))
        expected, expected_state = model(ids)
        state, alone = model.begin_state(batch), model.begin_state(1)
        row = data.draw(st.integers(0, batch - 1))
        for t in range(steps):
            with use_threads(data.draw(st.sampled_from([1, 2]))):
                logits, state = model.step(ids[:, t], state)
            logits_alone, alone = model.step(ids[row : row + 1, t], alone)
            torch.testing.assert_close(logits, expected[t], rtol=1e-4, atol=1e-5)
            assert torch.equal(logits[row : row + 1], logits_alone)
        torch.testing.assert_close(state, expected_state, rtol=0, atol=0)


@pytest.mark.parametrize("frozen", [False, True])
@torch.no_grad()
def test_every_changed_parameter_is_seen(frozen: bool, native_steps: list[bool]) -> None:
    model = CUSTOMIZED["plain LSTM"]().eval()
    if frozen:
        charloom.freeze(model)
    ids, state = torch.tensor([3, 1]), (torch.rand(1, 2, 12), torch.rand(1, 2, 12))
    for name, parameter in model.named_parameters():
        before, _ = model.step(ids, state)
        parameter.add_(0.3 * torch.rand_like(parameter))
        after, _ = model.step(ids, state)
        assert not torch.equal(before, after), name
        torch.testing.assert_close(after, model(ids[:, None], state)[0][0])
    model.embedding = nn.Embedding(len(VOCABULARY), 8)
    torch.testing.assert_close(model.step(ids, state)[0], model(ids[:, None], state)[0][0])
    assert all(native_steps)


@torch.no_grad()
def test_functional_call_is_seen(native_steps: list[bool]) -> None:
    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = CUSTOMIZED["plain LSTM"]()

        def forward(self, ids: Tensor, state: Any) -> Any:
            return self.model.step(ids, state)[0]

    module, ids = Stepped(), torch.tensor([3, 1])
    state = module.model.begin_state(2)
    expected = module(ids, state)
    doubled = {name: 2 * parameter for name, parameter in module.named_parameters()}
    found = torch.func.functional_call(module, doubled, (ids, state))
    assert not torch.equal(found, expected)
    for name, parameter in module.named_parameters():
        parameter.copy_(doubled[name])
    assert torch.equal(module(ids, state), found)
    assert all(native_steps)


@torch.no_grad()
def test_dropout_in_training_mode_is_pytorchs(native_steps: list[bool]) -> None:
    model = CUSTOMIZED["plain LSTM"]()
    model.dropout.p = 0.9
    found = {model.step(torch.tensor([3]), model.begin_state(1))[0].sum().item() for _ in range(8)}
    assert len(found) > 1
    assert not any(native_steps)


class _WithOutput:
    """A class of a user, after ``Module`` in the order of methods."""

    @property
    def output(self) -> Any:
        return lambda hidden: 2 * hidden[..., : len(VOCABULARY)]


class _Mixed(LanguageModel, _WithOutput):
    pass


class _Wrapped(LanguageModel):
    def __getattr__(self, name: str) -> Any:
        part: Any = super().__getattr__(name)
        return (lambda hidden: 2 * part(hidden)) if name == "output" else part


class _OtherCallImplementation(LanguageModel):
    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        logits, state = super()._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call] # torch's
        return 2 * logits, state


@pytest.mark.parametrize("kind", [_Mixed, _Wrapped, _OtherCallImplementation])
def test_subclasses_that_replace_parts_in_other_ways(kind: Any, native_steps: list[bool]) -> None:
    found = outcome(_steps, make_model(kind, lambda size, _: charloom.layers.GRU(size, 32)))
    assert not any(native_steps)
    assert isinstance(found, list)


def test_a_patched_layer_class_and_a_compiled_part(monkeypatch: pytest.MonkeyPatch, native_steps: list[bool]) -> None:
    model = CUSTOMIZED["plain"]()
    model.output._compiled_call_impl = lambda hidden: 2 * nn.Linear.forward(model.output, hidden)
    compiled = _steps(model)
    monkeypatch.setattr(charloom.layers.RecurrentLayer, "forward", lambda _, inputs, state: (inputs[..., :12], state))
    _steps(CUSTOMIZED["plain"]())
    assert not any(native_steps)
    monkeypatch.undo()
    torch.testing.assert_close(compiled[0][0], 2 * _steps(CUSTOMIZED["plain"]())[0][0])


@pytest.mark.parametrize("ids", [[-1, 0], [0, len(VOCABULARY)], [2**40, 0], [-(2**63), 0]])
@torch.no_grad()
def test_ids_outside_the_vocabulary_are_refused(ids: list[int]) -> None:
    model = CUSTOMIZED["plain LSTM"]()
    with pytest.raises(charloom.InputError, match="is not in the vocabulary"):
        model.step(torch.tensor(ids), model.begin_state(2))


@torch.no_grad()
def test_ids_and_states_in_other_forms() -> None:
    """Not contiguous, of another dtype or size, in no batch."""
    model = CUSTOMIZED["plain LSTM"]()
    ids, state = torch.tensor([[3, 1], [2, 0]]), (torch.rand(1, 4, 12), torch.rand(1, 4, 12))
    hidden, cell = (part[:, ::2] for part in state)
    expected = model.step(ids[:, 0].clone(), (hidden.clone(), cell.clone()))
    found = model.step(ids[:, 0], (hidden, cell))
    torch.testing.assert_close(found, expected)
    for bad_ids in (ids, ids[0, 0], ids[0].int(), ids[0].float(), [3, 1], None):
        with pytest.raises(charloom.InputError, match="ids must be"):
            model.step(bad_ids, model.begin_state(2))  # type: ignore[arg-type]
    for bad_state in (state, state[0][:, :2], [part[:, :2] for part in state], 3):
        with pytest.raises(charloom.InputError, match="the state is"):
            model.step(ids[0], bad_state)  # type: ignore[arg-type]
