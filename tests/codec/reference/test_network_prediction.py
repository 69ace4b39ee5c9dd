"""Predictions of tokens as decisions and bytes, against sums over all tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom_codec.model.integer_model import FREQUENCY_BITS
from charloom_codec.reference.byte_trees import ByteTrees, Node
from charloom_codec.reference.network import ReferenceNetwork
from charloom_codec.reference.network_prediction import NetworkLanes, NetworkPrediction
from integer_models import CHARACTERS, random_model, with_tokens

_FREQUENCIES = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        np.random.default_rng(seed).multinomial(
            (1 << FREQUENCY_BITS) - len(CHARACTERS), np.random.default_rng(seed).dirichlet([0.2] * len(CHARACTERS))
        )
        + 1
    )
)


_TREES = st.sampled_from([None, b"", "日本語 a cab".encode() * 9]).map(lambda text: ByteTrees(text).after(ord("a")))


def _started(frequencies: np.ndarray[tuple[int], np.dtype[np.int64]]) -> NetworkPrediction:
    prediction = NetworkPrediction(CHARACTERS)
    prediction.start(frequencies.astype(np.uint32))
    return prediction


@given(_FREQUENCIES, st.sampled_from(CHARACTERS[1:]), _TREES)
def test_the_probability_of_a_decision_is_the_share_of_the_tokens_that_fit(
    frequencies: np.ndarray[tuple[int], np.dtype[np.int64]], token: bytes, root: Node
) -> None:
    prediction = _started(frequencies)
    likeliest = max(range(1, len(CHARACTERS)), key=lambda i: (frequencies[i], -sorted(CHARACTERS).index(CHARACTERS[i])))
    assert prediction.likeliest_byte() == CHARACTERS[likeliest][0]
    for place, byte in enumerate(token):
        starting = [i for i, one in enumerate(CHARACTERS) if one and one[:place] == token[:place]]
        at: Node | int = root
        while isinstance(at, Node):
            fit = [i for i in starting if at.first <= CHARACTERS[i][place] < at.last]
            ones = [i for i in fit if CHARACTERS[i][place] >= at.middle]
            share = sum(int(frequencies[i]) for i in ones) * 65_536 // sum(int(frequencies[i]) for i in fit)
            prediction.narrow(at)
            assert prediction.predicts()
            assert prediction.p() == max(1, min(65_535, share))
            assert prediction.is_likeliest() == (likeliest in fit)
            at = at.next[byte >= at.middle]
        assert at == byte
        assert prediction.update(byte) == (CHARACTERS.index(token) if place == len(token) - 1 else None)


@given(_FREQUENCIES, st.sampled_from(CHARACTERS[1:]))
def test_intervals_of_bytes_are_adjacent_below_escape(
    frequencies: np.ndarray[tuple[int], np.dtype[np.int64]], token: bytes
) -> None:
    prediction = _started(frequencies)
    for place, byte in enumerate(token):
        end = 0
        for candidate in range(256):
            start, size = prediction.interval_of(candidate)
            fit = [one for one in CHARACTERS if one[: place + 1] == token[:place] + bytes([candidate])]
            assert size == sum(int(frequencies[CHARACTERS.index(one)]) for one in fit)
            if size:
                assert start == end
                end += size
                assert prediction.byte_at(start) == prediction.byte_at(end - 1) == candidate
        assert end == prediction.escape() < prediction.total()
        if place == 0:
            assert prediction.total() == 1 << FREQUENCY_BITS, "the frequency of <unk> is for all other bytes"
        prediction.update(byte)


def test_a_byte_that_fits_no_token_is_lost_and_a_new_token_starts() -> None:
    prediction = _started(np.full(len(CHARACTERS), 100))
    root = ByteTrees(None).after(0)
    assert prediction.update(0xFF) is None  # not UTF-8
    prediction.narrow(root)
    assert not prediction.predicts()
    assert not prediction.is_likeliest()
    assert prediction.update(ord("a")) is None
    prediction.start_byte()
    prediction.narrow(root)
    assert prediction.predicts()
    assert prediction.update(ord("a")) == CHARACTERS.index(b"a")


def test_no_prediction_of_a_decision_that_no_token_reaches() -> None:
    prediction = _started(np.full(len(CHARACTERS), 100))
    at: Node | int = ByteTrees(None).after(0)
    predicted = []
    while isinstance(at, Node):
        prediction.narrow(at)
        predicted.append(prediction.predicts())
        at = at.next[1]  # towards 0xFF
    assert predicted[0]
    assert not predicted[-1]
    assert predicted == sorted(predicted, reverse=True)


def test_confidence_grows_with_the_most_likely_token() -> None:
    found = []
    for percent in (10, 25, 40, 60, 80, 90, 96, 99.5):
        frequencies = np.full(len(CHARACTERS), (100 - percent) * 1000 / (len(CHARACTERS) - 2))
        frequencies[5] = percent * 1000
        found.append(_started(frequencies.astype(np.int64)).confidence)
    assert found == list(range(8))


def test_tokens_without_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="no token has bytes"):
        NetworkPrediction([b""])


def test_lanes_predict_as_the_network_does_for_each_text() -> None:
    model = with_tokens(random_model(5, "gru", hidden=5, vocabulary=len(CHARACTERS)), CHARACTERS)
    lanes = NetworkLanes(model, 2)
    lanes.start()
    texts = ("日a".encode(), "cab語".encode()[:4])
    for column in zip(*texts, strict=True):
        for lane, byte in enumerate(column):
            lanes[lane].start_byte()
            lanes.end_byte(lane, byte)
    for lane, text in enumerate(("日a", "cab")):
        alone, expected = ReferenceNetwork(model, 1), NetworkPrediction(CHARACTERS)
        for char in text:
            alone.step(np.array([CHARACTERS.index(char.encode())]))
        expected.start(alone.frequencies[0])
        if lane == 0:
            root = ByteTrees(None).after(0)
            lanes[0].narrow(root)
            expected.narrow(root)
            assert lanes[0].p() == expected.p()
        else:
            expected.update(texts[1][3])
            assert lanes[1].escape() == expected.escape()
