import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import (
    CleanUp,
    InputError,
    ModelSettings,
    SamplingSettings,
    SettingsError,
    UnknownCharacterError,
    Vocabulary,
    build_model,
    generate,
    generate_samples,
    stream,
)
from charloom.inference.generation import generate_ids
from charloom.recurrence.backend import backend
from examples import examples
from fakes import MarkovPredictor, cyclic_predictor
from native import Switch

_SAMPLING = SamplingSettings(temperature=1.0, seed=3)


def test_greedy_takes_the_most_likely() -> None:
    assert generate(cyclic_predictor(), "ab", 7) == "ab" + "cabcabc"
    assert generate(cyclic_predictor(), "c", 0) == "c"


def test_equals_generation_by_hand() -> None:
    """The textbook's predict function gives the same text with a real model."""
    vocabulary = Vocabulary(list("abcdef"))
    model = build_model(vocabulary, ModelSettings(cell="gru", hidden_size=8, init_sigma=1.0), seed=4)
    text, state = "fade", model.begin_state(1)
    written = list(text)
    for i in range(len(text) + 19):
        logits, state = model(vocabulary.encode(written[i])[None], state)
        if i >= len(text) - 1:
            logits[..., 0] = -torch.inf
            written.append(str(vocabulary.tokens[int(logits.argmax())]))
    assert generate(model, text, 20) == "".join(written)


def test_streams_each_step() -> None:
    """Each chunk arrives before the next step is computed."""
    model = cyclic_predictor()
    chunks = stream(model, "ab", 1000)
    assert next(chunks) == "ab"
    assert [next(chunks), next(chunks)] == ["c", "a"]
    assert model.steps_read <= 4


def test_gradients_stay_enabled_for_the_caller() -> None:
    chunks = stream(cyclic_predictor(), "a", 5)
    next(chunks)
    next(chunks)
    assert not torch.is_inference_mode_enabled()


def test_random_choice_follows_the_model() -> None:
    """The fake gives b a probability of 90% after a."""
    text = generate(cyclic_predictor(), "a", 5000, _SAMPLING)
    following = [after for before, after in itertools.pairwise(text) if before == "a"]
    assert following.count("b") / len(following) == pytest.approx(0.9, abs=0.03)


def test_a_seed_fixes_the_text() -> None:
    model = cyclic_predictor()
    assert generate(model, "a", 200, _SAMPLING) == generate(model, "a", 200, _SAMPLING)
    other = SamplingSettings(temperature=1.0, seed=4)
    assert generate(model, "a", 200, _SAMPLING) != generate(model, "a", 200, other)


def test_several_samples() -> None:
    """The first equals a single sample; all differ."""
    model = cyclic_predictor()
    samples = generate_samples(model, "ab", 200, _SAMPLING, num_samples=3)
    assert samples[0] == generate(model, "ab", 200, _SAMPLING)
    assert len(set(samples)) == 3
    assert {len(sample) for sample in samples} == {202}
    with pytest.raises(SettingsError, match="num_samples is 0"):
        generate_samples(model, "ab", 5, num_samples=0)
    with pytest.raises(SettingsError, match=r"num_samples is 100000000: at most 10,000"):
        generate_samples(model, "ab", 5, _SAMPLING, num_samples=10**8)
    with pytest.raises(
        SettingsError, match=r"10,000 samples of 2,001 characters need too much memory: the limit is 20,000,000"
    ):
        generate_samples(model, "ab", 2001, _SAMPLING, num_samples=10**4)
    assert generate_samples(model, "ab", 0, _SAMPLING, num_samples=2) == ["ab", "ab"]


def test_invalid_calls_are_refused_before_any_output(compute_by: Switch) -> None:
    """Also by ``stream``, whose first chunk is the prefix."""
    model = build_model(Vocabulary(list("ab")), ModelSettings(hidden_size=4))
    model.output.register_forward_hook(lambda *_: None)
    with pytest.raises(SettingsError, match="precision is 'int8'"):
        stream(model, "ab", 5, precision="int8")
    compute_by("foo")
    with pytest.raises(SettingsError, match="CHARLOOM_KERNELS=foo"):
        stream(model, "ab", 5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": None}, "model is of type NoneType"),
        ({"prefix_ids": torch.empty(0, dtype=torch.int64)}, r"prefix_ids must be a 1-D tensor of at least one id"),
        ({"prefix_ids": torch.ones(1, 2, dtype=torch.int64)}, "prefix_ids must be a 1-D tensor"),
        ({"prefix_ids": [1, 2]}, "prefix_ids is of type list"),
        ({"num_steps": -1}, "num_steps is -1"),
        ({"num_steps": "x"}, "num_steps is 'x'"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"num_samples": "x"}, "num_samples is 'x'"),
    ],
)
def test_wrong_arguments_of_generate_ids_are_refused_at_the_call(wrong: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"model": cyclic_predictor(), "prefix_ids": torch.tensor([1]), "num_steps": 3}
    with pytest.raises((InputError, SettingsError), match=message):
        generate_ids(**arguments | wrong)


def test_unknown_is_never_generated() -> None:
    transitions = torch.full((3, 3), 0.005)
    transitions[:, 0] = 0.99
    model = MarkovPredictor(Vocabulary(["a", "b"]), transitions)
    assert "<unk>" not in generate(model, "a", 300, _SAMPLING)


@settings(max_examples=examples(15))
@given(stop=st.text("abc", min_size=1, max_size=4), seed=st.integers(0, 50))
def test_stop(stop: str, seed: int) -> None:
    """Generation ends before the first occurrence, and outputs no part of it."""
    sampling = SamplingSettings(temperature=1.0, seed=seed)
    whole = generate(cyclic_predictor(), "cab", 60, sampling)
    chunks = list(stream(cyclic_predictor(), "cab", 60, sampling, stop=stop))
    written, _, _ = whole[3:].partition(stop)
    assert "".join(chunks) == "cab" + written
    assert all(chunks)


def test_an_empty_stop_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"stop is '': it must not be empty$"):
        stream(cyclic_predictor(), "a", 5, stop="")


@pytest.mark.parametrize("stop", [b"", b"x"])
def test_a_stop_of_another_type_than_the_prefix_is_refused(stop: Any) -> None:
    with pytest.raises(SettingsError, match=r"it must be of type str, like the prefix$"):
        stream(cyclic_predictor(), "a", 5, stop=stop)


def test_prefix_is_cleaned_like_the_training_text() -> None:
    transitions = cyclic_predictor().log_transitions.exp()
    model = MarkovPredictor(Vocabulary(["a", "b", "c"], clean_up=CleanUp(lowercase=True)), transitions)
    assert generate(model, "AB", 2) == "abca"


@pytest.mark.parametrize("call", [generate, stream])
def test_unknown_characters_in_the_prefix(call: Any) -> None:
    model = cyclic_predictor()
    with pytest.raises(UnknownCharacterError, match="'x'"):
        call(model, "axb", 3)
    assert "".join(call(model, "axb", 3, unknown="skip")) == "abcab"
    assert "".join(call(model, "axb", 1, unknown="unk")) == "a<unk>bc"
    with pytest.raises(UnknownCharacterError, match="it must contain at least one character of"):
        call(model, "", 3)
    with pytest.raises(UnknownCharacterError, match="at least one character of the model's vocabulary"):
        call(model, "xyz", 3, unknown="skip")
    with pytest.raises(SettingsError, match="num_chars is -1"):
        call(model, "a", -1)


def _spelling_predictor(text: bytes) -> MarkovPredictor:
    """Returns a predictor that generates these bytes, each at most once in them, in a cycle."""
    transitions = torch.full((256, 256), 1e-6)
    for before, after in itertools.pairwise(text + text[:1]):
        transitions[before, after] = 1.0
    return MarkovPredictor(Vocabulary(), transitions)


def test_bytes_in_bytes_out() -> None:
    model = _spelling_predictor(b"\x00\xffA")
    assert generate(model, b"\x00", 5) == b"\x00\xffA\x00\xffA"
    assert list(stream(model, b"\xff", 3, stop=b"\x00")) == [b"\xff", b"A"]


def test_a_byte_model_given_text_generates_text() -> None:
    """Characters are complete in the output; invalid UTF-8 is replaced."""
    model = _spelling_predictor("a漢é".encode())
    assert list(stream(model, "漢", 9)) == ["漢", "é", "a", "漢", "é", "a"]
    assert generate(_spelling_predictor(b"a\xff"), "a", 3) == "a\ufffda\ufffd"
    assert generate(model, "a", 2) == "a\ufffd"  # cut within a character


def test_a_character_model_refuses_bytes() -> None:
    with pytest.raises(InputError, match="not bytes"):
        generate(cyclic_predictor(), b"ab", 3)


class _SharedTable(MarkovPredictor):
    """Returns views of its own table, which must not be modified."""

    def __call__(self, ids: Any, state: Any = None) -> Any:
        return self.log_transitions[int(ids[0, -1])].expand(1, len(ids), -1), state


def test_a_predictors_logits_are_not_modified() -> None:
    model = _SharedTable(Vocabulary(["a", "b", "c"]), torch.full((4, 4), 0.25))
    before = model.log_transitions.clone()
    assert len(generate(model, "a", 5)) == 6
    assert len(generate_samples(model, "a", 5, num_samples=3)) == 3
    assert torch.equal(model.log_transitions, before)


@pytest.mark.skipif(backend().kernels is None, reason="without kernels each step reads the current weights")
def test_a_stream_uses_the_weights_at_its_start() -> None:
    """Also if it is consumed within autocast."""
    settings = ModelSettings(hidden_size=8, init_sigma=0.5)
    models = [build_model(Vocabulary(list("abcd")), settings, seed=seed) for seed in (0, 1)]
    texts = [generate(model, "ab", 40) for model in models]
    chunks = stream(models[0], "ab", 40)
    models[0].load_state_dict(models[1].state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        assert "".join(chunks) == texts[0] != texts[1]


@pytest.mark.parametrize("kernels", ["auto", "pytorch"])
def test_logits_that_become_infinite_are_refused(kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    model = build_model(Vocabulary(list("abcd")), ModelSettings(nonlinearity="relu", hidden_size=8))
    with torch.no_grad():
        model.layer.get_parameter("weight_hh_l0").copy_(4 * torch.eye(8))
    assert generate(model, "ab", 5)
    with pytest.raises(InputError, match="not finite"):
        generate(model, "ab", 200)


def test_dropout_is_off_and_the_mode_is_restored() -> None:
    model = build_model(Vocabulary(list("abc")), ModelSettings(hidden_size=32, dropout=0.9, init_sigma=1.0))
    assert model.training
    assert generate(model, "ab", 40) == generate(model, "ab", 40)
    assert model.training
