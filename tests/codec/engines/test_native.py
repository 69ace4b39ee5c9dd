"""The native network on every instruction set: the same payloads as the reference, for any numbers and sizes.

A payload depends on all frequencies: the interval of a byte starts at the sum of those before it.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom_codec.cells import CELL_NAMED
from charloom_codec.engines.native import NativeEngine, choose_instruction_set, supported
from charloom_codec.errors import SettingsError
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.network import ReferenceNetwork
from integer_models import STYLES, random_model
from native import Switch
from small_engines import engine_of

_SIZES = [1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 129]
_native = pytest.mark.skipif(not supported(), reason="charloom was built without native code")


def _payloads(model: IntegerModel, lanes: int, text: bytes) -> dict[str, bytes]:
    names = ["reference", *supported()]
    return {name: engine_of(model, Priming(), name, fast=True).start_session(lanes).encode(text) for name in names}


@_native
@settings(max_examples=120)
@given(data=st.data())
def test_the_same_payloads_as_the_reference(data: st.DataObject) -> None:
    """Several steps; lanes whose byte is of no token rest in some of them."""
    vocabulary = data.draw(st.integers(1, 300))
    model = random_model(
        data.draw(st.integers(0, 2**32)),
        data.draw(st.sampled_from(list(CELL_NAMED))),
        hidden=data.draw(st.sampled_from(_SIZES)),
        vocabulary=vocabulary,
        layers=data.draw(st.integers(1, 3)),
        style=data.draw(st.sampled_from(STYLES)),
    )
    lanes = data.draw(st.integers(1, 64))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    tokens = model.list_tokens()
    rows = []
    for _ in range(5):
        steps = [tokens[token] for token in random.integers(0, vocabulary, lanes)]
        if random.random() < 0.5:
            steps = [b"\xfe" * len(step) if random.random() < 0.2 else step for step in steps]
        rows += [bytes(column) for column in zip(*steps, strict=True)]
    payloads = _payloads(model, lanes, b"".join(rows))
    for name, payload in payloads.items():
        assert payload == payloads["reference"], name


@pytest.mark.parametrize("cell", CELL_NAMED)
def test_a_lane_does_not_depend_on_the_others(cell: str) -> None:
    model = random_model(3, cell, hidden=40, vocabulary=50, layers=2)
    texts = np.random.default_rng(0).integers(0, 50, (12, 21))
    together = ReferenceNetwork(model, 21)
    alone = [ReferenceNetwork(model, 1) for _ in range(21)]
    for tokens in texts:
        together.step(tokens)
        for lane, network in enumerate(alone):
            network.step(tokens[lane : lane + 1])
            assert np.array_equal(together.frequencies[lane], network.frequencies[0])
        assert (together.frequencies.sum(axis=1) == 1 << 22).all()
        assert together.frequencies.min() >= 1
    assert len(np.unique(together.frequencies, axis=0)) == 21


def test_a_resting_lane_stays_unchanged() -> None:
    model = random_model(4, "lstm", hidden=20, vocabulary=10)
    rested, steady = ReferenceNetwork(model, 2), ReferenceNetwork(model, 1)
    before = rested.frequencies[1].copy()
    rested.step(np.array([3, -1]))
    assert np.array_equal(rested.frequencies[1], before)
    assert not np.array_equal(rested.frequencies[0], before)
    rested.step(np.array([-1, 7]))
    steady.step(np.array([7]))
    assert np.array_equal(rested.frequencies[1], steady.frequencies[0])


@_native
def test_a_large_vocabulary() -> None:
    model = random_model(5, "gru", hidden=8, vocabulary=65536, style="wild")
    tokens = model.list_tokens()
    assert len(set(_payloads(model, 1, tokens[65535] + tokens[1] + tokens[300]).values())) == 1


@_native
@pytest.mark.parametrize("vocabulary", [2100, 4200, 8300])
def test_many_tokens_that_are_equally_likely(vocabulary: int) -> None:
    """The sum of their weights leaves 32 bits."""
    model = random_model(7, "rnn_tanh", hidden=8, vocabulary=vocabulary)
    output = model.output._replace(multipliers=np.zeros_like(model.output.multipliers))
    flat = dataclasses.replace(model, output=output, output_bias=np.zeros_like(model.output_bias))
    tokens = model.list_tokens()
    payloads = _payloads(flat, 1, tokens[-1] + tokens[1] + tokens[300])
    for name, payload in payloads.items():
        assert payload == payloads["reference"], name


@_native
def test_an_instruction_set_that_is_none() -> None:
    with pytest.raises(ValueError, match="instruction set 'avx3' is not supported"):
        NativeEngine(random_model(6, "rnn_tanh", hidden=8, vocabulary=5), None, "avx3")


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch, compute_by: Switch) -> None:
    def chosen(word: str) -> Any:
        compute_by(word)
        return choose_instruction_set()

    assert chosen("reference") is None
    assert chosen("pytorch") is None
    assert chosen("auto") == (supported()[-1] if supported() else None)
    for name in supported():
        assert chosen(name) == name
    if "avx512vnni" in supported():
        assert chosen("avx512bf16") == chosen("avx512") == "avx512vnni"
    with pytest.raises(SettingsError, match="choose one of auto, reference"):
        chosen("avx3")
    monkeypatch.setattr("charloom_codec.engines.native.supported", list)
    assert chosen("auto") is None
    with pytest.raises(SettingsError, match="CHARLOOM_KERNELS=avx2: not available"):
        chosen("avx2")
