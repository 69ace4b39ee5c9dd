"""The native generation loop against the one in Python: the same choices for the same random numbers."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import charloom
from charloom import LanguageModel, ModelSettings, SamplingSettings, Vocabulary
from charloom.inference.generation import generate_ids
from charloom.recurrence.backend import backend
from in_turn import in_turn
from native import INSTRUCTION_SETS, Switch, switching

_VOCABULARY = Vocabulary.of_text("abcdefghij .,")
_SETTINGS = {
    "greedy": {},
    "temperature": {"temperature": 0.7},
    "power": {"power": 2.0},
    "top_k": {"top_k": 3},
    "top_p": {"top_p": 0.8},
    "all": {"temperature": 1.5, "top_k": 5, "top_p": 0.9},
    "hot": {"temperature": 1000.0},
    "cold": {"temperature": 1e-6},
}


def _model(seed: int = 0, **model_settings: Any) -> LanguageModel:
    chosen = {"hidden_size": 24, "init_sigma": 0.4} | model_settings
    return charloom.build_model(_VOCABULARY, ModelSettings(**chosen), seed=seed).eval()


def _ids(model: LanguageModel, sampling: SamplingSettings, num_steps: int = 60, **options: Any) -> list[list[int]]:
    prefix = _VOCABULARY.encode("abc")
    chunks = list(generate_ids(model, prefix, num_steps, sampling, **options))
    return torch.cat(chunks, dim=1).t().tolist()


@pytest.mark.parametrize(("name", "kernels"), in_turn(_SETTINGS, INSTRUCTION_SETS, 2))
def test_same_choices_as_in_python(name: str, kernels: str, compute_by: Switch) -> None:
    model = _model(cell="gru", num_layers=2)
    sampling = SamplingSettings(seed=7, **_SETTINGS[name])  # type: ignore[arg-type]
    compute_by("pytorch")
    expected = _ids(model, sampling, num_samples=3)
    compute_by(kernels)
    assert model.make_generator() is not None
    assert _ids(model, sampling, num_samples=3) == expected


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
@settings(max_examples=40)
@given(data=st.data())
def test_logits_and_state_continue_as_in_forward(data: st.DataObject) -> None:
    """After the last token both equal what the model computes from the whole text."""
    model = _model(
        data.draw(st.integers(0, 100)),
        cell=data.draw(st.sampled_from(["rnn", "gru", "lstm"])),
        hidden_size=data.draw(st.sampled_from([1, 7, 31, 32, 33, 64, 100])),
        num_layers=data.draw(st.integers(1, 3)),
        embedding_size=data.draw(st.sampled_from([None, 1, 5, 40])),
        init_sigma=0,  # larger weights make a plain cell chaotic: different orders of summation soon diverge
    )
    num_samples, num_steps = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9))
    first = torch.randint(len(_VOCABULARY), (num_samples, 2))
    draws = torch.rand(num_samples, num_steps, dtype=torch.float64)
    with torch.inference_mode(), switching() as compute_by:
        compute_by(data.draw(st.sampled_from(INSTRUCTION_SETS)))
        logits, state = model(first)
        parts = tuple(p.clone() for p in (state if isinstance(state, tuple) else (state,)))
        last = logits[-1].clone()
        writer = model.make_generator()
        assert writer is not None
        ids = writer.run(last, parts, SamplingSettings(temperature=1.0), None, draws)
        compute_by("pytorch")
        expected, expected_state = model(torch.cat([first, ids], dim=1))
    torch.testing.assert_close(last, expected[-1], rtol=1e-4, atol=1e-5)
    expected_parts = expected_state if isinstance(expected_state, tuple) else (expected_state,)
    torch.testing.assert_close(parts, expected_parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
def test_int8_is_near_float32_and_the_same_on_every_instruction_set(kernels: str, compute_by: Switch) -> None:
    """Probabilities differ slightly; the integer sums are equal, so that the text is the same."""
    compute_by(kernels)
    for cell, hidden_size in (("rnn", 64), ("gru", 33), ("lstm", 100)):
        model = _model(cell=cell, hidden_size=hidden_size, num_layers=2, init_sigma=0)
        draws = torch.rand(1, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        after: list[torch.Tensor] = []
        for precision in ("float32", "int8"):
            with torch.inference_mode():
                logits, state = model(_VOCABULARY.encode("abc")[None])
                parts = tuple(p.clone() for p in (state if isinstance(state, tuple) else (state,)))
                last = logits[-1].clone()
                writer = model.make_generator(precision)
                assert writer is not None
                writer.run(last, parts, SamplingSettings(temperature=1.0), None, draws)
            after.append(torch.softmax(last, -1))
        assert (after[0] - after[1]).abs().max() < 0.02
        assert not torch.equal(after[0], after[1])
    text = charloom.generate(
        _model(cell="lstm"), "abc", 100, SamplingSettings(temperature=1.0, seed=3), precision="int8"
    )
    compute_by(INSTRUCTION_SETS[0])
    assert text == charloom.generate(
        _model(cell="lstm"), "abc", 100, SamplingSettings(temperature=1.0, seed=3), precision="int8"
    )


def test_a_sample_does_not_depend_on_the_others() -> None:
    model = _model(cell="lstm")
    sampling = SamplingSettings(temperature=1.0, seed=5)
    together = _ids(model, sampling, num_samples=5)
    assert [step[0] for step in together] == [step[0] for step in _ids(model, sampling)]


def test_unknown_is_never_chosen() -> None:
    vocabulary = Vocabulary.of_text("ab")
    model = charloom.build_model(vocabulary, ModelSettings(hidden_size=4))
    with torch.no_grad():
        model.output.bias.zero_()
        assert vocabulary.unknown_id is not None
        model.output.bias[vocabulary.unknown_id] = 50.0
    for sampling in (SamplingSettings(), SamplingSettings(temperature=1.0, seed=0)):
        assert set(charloom.generate(model, "a", 50, sampling)) <= {"a", "b"}


@pytest.mark.usefixtures("unchecked")
def test_int8_refusals(compute_by: Switch) -> None:
    hooked = _model()
    hooked.output.register_forward_hook(lambda *_: None)
    with pytest.raises(charloom.SettingsError, match="precision is 'int8': it requires a model"):
        charloom.generate(hooked, "abc", 5, precision="int8")
    with pytest.raises(charloom.SettingsError, match="choose one of float32, int8"):
        charloom.generate(_model(), "abc", 5, precision="int4")  # type: ignore[arg-type]
    compute_by("pytorch")
    assert backend().kernels is None
    with pytest.raises(charloom.SettingsError, match="native kernels"):
        charloom.generate(_model(), "abc", 5, precision="int8")


def test_later_training_applies_to_the_next_text() -> None:
    model = _model()
    before = charloom.generate(model, "abc", 20)
    with torch.no_grad():
        model.output.bias[4] += 100.0
    after = charloom.generate(model, "abc", 20)
    assert before != after


@pytest.mark.skipif(backend().kernels is None, reason="no native kernels, or CHARLOOM_KERNELS=pytorch")
def test_dropout_is_off_in_every_mode() -> None:
    settings = charloom.ModelSettings(hidden_size=8, dropout=0.5, embedding_size=8)
    model = charloom.build_model(charloom.Vocabulary.of_text("abc"), settings).eval()
    expected = charloom.generate(model, "abc", 30)
    for part in (model.dropout, model):
        part.train()
        assert model.make_generator() is not None
        assert charloom.generate(model, "abc", 30) == expected
