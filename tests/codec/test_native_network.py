"""Every instruction set against the plain reference: the same integers, whatever the numbers and sizes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom.codec.integer_model import CELLS
from charloom.codec.native import begin, chosen_instruction_set, supported
from charloom.errors import SettingsError
from integer_models import STYLES, random_model

_SIZES = [1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 129]
_native = pytest.mark.skipif(not supported(), reason="charloom was built without native code")


@_native
@settings(max_examples=120)
@given(data=st.data())
def test_the_same_frequencies_as_the_reference(data: st.DataObject) -> None:
    """Several steps, with lanes that rest in some of them."""
    vocabulary = data.draw(st.integers(1, 300))
    model = random_model(
        data.draw(st.integers(0, 2**32)),
        data.draw(st.sampled_from(CELLS)),
        hidden=data.draw(st.sampled_from(_SIZES)),
        vocabulary=vocabulary,
        layers=data.draw(st.integers(1, 3)),
        style=data.draw(st.sampled_from(STYLES)),
    )
    lanes = data.draw(st.integers(1, 64))
    reference = begin(model, lanes, "reference")
    streams = [begin(model, lanes, name) for name in supported()]
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for _ in range(5):
        assert (reference.frequencies.sum(axis=1) == 1 << 22).all()
        assert reference.frequencies.min() >= 1
        for name, stream in zip(supported(), streams, strict=True):
            assert np.array_equal(stream.frequencies, reference.frequencies), name
        tokens = random.integers(0, vocabulary, lanes)
        tokens[random.random(lanes) < 0.2] = -1
        for stream in [reference, *streams]:
            stream.step(tokens)


@_native
@pytest.mark.parametrize("name", supported())
@pytest.mark.parametrize("cell", CELLS)
def test_a_lane_does_not_depend_on_those_beside_it(cell: str, name: str) -> None:
    model = random_model(3, cell, hidden=40, vocabulary=50, layers=2)
    texts = np.random.default_rng(0).integers(0, 50, (12, 21))
    together = begin(model, 21, name)
    alone = [begin(model, 1, name) for _ in range(21)]
    for tokens in texts:
        together.step(tokens)
        for lane, stream in enumerate(alone):
            stream.step(tokens[lane : lane + 1])
            assert np.array_equal(together.frequencies[lane], stream.frequencies[0])
    assert len(np.unique(together.frequencies, axis=0)) == 21


@_native
@pytest.mark.parametrize("name", ["reference", *supported()])
def test_a_resting_lane_stays_as_it_is(name: str) -> None:
    model = random_model(4, "lstm", hidden=20, vocabulary=10)
    rested, steady = begin(model, 2, name), begin(model, 1, name)
    before = rested.frequencies[1].copy()
    rested.step(np.array([3, -1]))
    assert np.array_equal(rested.frequencies[1], before)
    assert not np.array_equal(rested.frequencies[0], before)
    rested.step(np.array([-1, 7]))
    steady.step(np.array([7]))
    assert np.array_equal(rested.frequencies[1], steady.frequencies[0])


@pytest.mark.parametrize("name", ["reference", *supported()])
def test_reading_is_stepping(name: str) -> None:
    model = random_model(7, "gru", hidden=20, vocabulary=10)
    read, stepped = begin(model, 3, name), begin(model, 3, name)
    tokens = np.random.default_rng(0).integers(-1, 10, (8, 3))
    read.read(tokens)
    for row in tokens:
        stepped.step(row)
    assert np.array_equal(read.frequencies, stepped.frequencies)


@_native
def test_a_large_vocabulary() -> None:
    model = random_model(5, "gru", hidden=8, vocabulary=65536, style="wild")
    streams = [begin(model, 2, name) for name in ["reference", *supported()]]
    for stream in streams:
        stream.step(np.array([65535, 1]))
        assert np.array_equal(stream.frequencies, streams[0].frequencies)


@_native
@pytest.mark.parametrize("name", supported())
def test_what_is_refused(name: str) -> None:
    import charloom._codec as native

    model = random_model(6, "rnn_tanh", hidden=8, vocabulary=5)
    stream = begin(model, 2, name)
    with pytest.raises(IndexError, match="no such token"):
        stream.step(np.array([0, 5]))
    with pytest.raises(ValueError, match="no instruction set avx3"):
        begin(model, 2, "avx3")
    assert name in native.supported()


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(word: str) -> Any:
        monkeypatch.setenv("CHARLOOM_KERNELS", word)
        return chosen_instruction_set()

    assert chosen("reference") is None
    assert chosen("pytorch") is None
    assert chosen("auto") == (supported()[-1] if supported() else None)
    for name in supported():
        assert chosen(name) == name
    if "avx512vnni" in supported():
        assert chosen("avx512bf16") == chosen("avx512") == "avx512vnni"
    with pytest.raises(SettingsError, match="choose one of auto, reference"):
        chosen("avx3")
    monkeypatch.setattr("charloom.codec.native.supported", list)
    assert chosen("auto") is None
    with pytest.raises(SettingsError, match="CHARLOOM_KERNELS=avx2: not to be had here"):
        chosen("avx2")
