"""The mixture learns repetitions; coding and decoding compute the same predictions."""

import math

import numpy as np
import pytest

from charloom_codec.reference.byte_trees import ByteTrees
from charloom_codec.reference.context_mixing import ContextMixing, Lane
from charloom_codec.reference.contexts import TextBuffer
from charloom_codec.reference.memory import Memory
from charloom_codec.reference.network_prediction import NetworkPrediction
from charloom_codec.reference.rules import MIXING_RULES

pytestmark = pytest.mark.parametrize("version", MIXING_RULES)


_TREES = {True: ByteTrees(b"it was the best of times, " * 4), False: ByteTrees(None)}


def _mixture(version: int, memory: Memory, buffer: TextBuffer) -> ContextMixing:
    rules = MIXING_RULES[version]
    return ContextMixing(rules, None, _TREES[rules.has_balanced_trees], memory, buffer)


def _code(mixture: ContextMixing, lane: Lane, network: NetworkPrediction, byte: int) -> float:
    """Codes a byte. Returns the bits that it takes, by the probabilities of its decisions."""
    mixture.start_byte(lane, network)
    bits, found = 0.0, None
    while found is None:
        p = mixture.predict(lane, network)
        assert 1 <= p <= 65_535
        assert lane.node is not None
        bit = int(byte >= lane.node.middle)
        bits -= math.log2((p if bit else 65_536 - p) / 65_536)
        found = mixture.update(lane, network, bit)
    assert found == byte
    mixture.end_byte(lane, byte)
    return bits


def _bits_of(text: bytes, memory: Memory, version: int) -> list[float]:
    """Returns the bits that each byte takes."""
    buffer = TextBuffer(b"", len(text), 1)
    mixture, lane = _mixture(version, memory, buffer), Lane(0)
    network = NetworkPrediction([b"a"])  # without a token started
    taken = []
    for byte in text:
        taken.append(_code(mixture, lane, network, byte))
        buffer.written[0] = lane.position
    assert bytes(buffer.text) == text
    return taken


def test_repetitions_take_fewer_bits_and_random_bytes_do_not(version: int) -> None:
    words = _bits_of(b"it was the best of times, " * 4, Memory(12, 12), version)
    assert sum(words[:26]) > 4 * 26
    assert sum(words[-26:]) < 0.5 * 26
    noise = np.random.default_rng(0).bytes(100)
    # A tree that is balanced for a text has longer paths to other bytes.
    limit = 11 if MIXING_RULES[version].has_balanced_trees else 9
    assert 7.9 * 100 < sum(_bits_of(noise, Memory(12, 12), version)) < limit * 100


def test_equal_memories_give_equal_predictions_and_learn(version: int) -> None:
    memory = Memory(12, 12)
    first = _bits_of(b"abracadabra", memory, version)
    assert first == _bits_of(b"abracadabra", Memory(12, 12), version)
    assert memory.bytes_read == 11
    assert sum(_bits_of(b"abracadabra", memory, version)) < sum(first)
    assert memory.bytes_with_network == 0


def test_a_network_prediction_is_used(version: int) -> None:
    """Without anything learned, the text that the network predicts takes fewer bits."""
    taken = []
    for likely in (b"a", b"b"):
        network = NetworkPrediction([b"a", b"b"])
        network.start(np.array([999, 1] if likely == b"a" else [1, 999], np.uint32))
        memory, buffer = Memory(8, 8), TextBuffer(b"", 1, 1)
        taken.append(_code(_mixture(version, memory, buffer), Lane(0), network, ord("a")))
        assert memory.bytes_with_network == 1
    assert taken[0] < taken[1] - 1


def test_every_predictor_learns(version: int) -> None:
    text = b"it was the best, it was the worst\n" * 3
    memory, fresh = Memory(12, 12), Memory(12, 12)
    _bits_of(text, memory, version)
    assert all(mine != first for mine, first in zip(memory.histories, fresh.histories, strict=True))
    assert all(mine != first for mine, first in zip(memory.matches, fresh.matches, strict=True))
    assert all(memory.apms)
    assert memory.weights_of_sets != fresh.weights_of_sets
    assert (memory.weights != fresh.weights).any()
    assert memory.network_maps == fresh.network_maps
