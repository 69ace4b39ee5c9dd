"""The mixture learns repetitions; coding and decoding compute the same predictions."""

import math

import numpy as np

from charloom_codec.reference.context_mixing import ContextMixing, Lane, _compute_rate, _int32
from charloom_codec.reference.contexts import TextBuffer
from charloom_codec.reference.memory import Memory
from charloom_codec.reference.network_prediction import NetworkPrediction


def _bits_of(text: bytes, memory: Memory) -> list[float]:
    """Returns the bits that each byte takes, by the probabilities of its bits."""
    buffer = TextBuffer(b"", len(text), 1)
    mixture, lane, network = (
        ContextMixing(None, memory, buffer),
        Lane(0),
        NetworkPrediction([b"a"]),
    )  # without a token started
    taken = []
    for byte in text:
        mixture.start_byte(lane, network)
        bits = 0.0
        for i in range(7, -1, -1):
            p, bit = mixture.predict(lane, network), byte >> i & 1
            assert 1 <= p <= 65_535
            bits -= math.log2((p if bit else 65_536 - p) / 65_536)
            mixture.update(lane, network, bit)
        assert mixture.end_byte(lane) == byte
        buffer.written[0] = lane.position
        taken.append(bits)
    assert bytes(buffer.text) == text
    return taken


def test_repetitions_take_fewer_bits_and_random_bytes_do_not() -> None:
    words = _bits_of(b"it was the best of times, " * 4, Memory(12, 12))
    assert sum(words[:26]) > 5 * 26
    assert sum(words[-26:]) < 0.5 * 26
    noise = np.random.default_rng(0).bytes(100)
    assert 7.9 * 100 < sum(_bits_of(noise, Memory(12, 12))) < 9 * 100


def test_equal_memories_give_equal_predictions_and_learn() -> None:
    memory = Memory(12, 12)
    first = _bits_of(b"abracadabra", memory)
    assert first == _bits_of(b"abracadabra", Memory(12, 12))
    assert memory.bytes_read == 11
    assert sum(_bits_of(b"abracadabra", memory)) < sum(first)
    assert memory.bytes_with_network == 0


def test_a_network_prediction_is_used() -> None:
    """Without anything learned, the text that the network predicts takes fewer bits."""
    taken = []
    for likely in (b"a", b"b"):
        network = NetworkPrediction([b"a", b"b"])
        network.start(np.array([999, 1] if likely == b"a" else [1, 999], np.uint32))
        memory, buffer, lane = Memory(8, 8), TextBuffer(b"", 1, 1), Lane(0)
        mixture = ContextMixing(None, memory, buffer)
        mixture.start_byte(lane, network)
        assert memory.bytes_with_network == 1
        ps = []
        for i in range(7, -1, -1):
            bit = ord("a") >> i & 1
            p = mixture.predict(lane, network)
            ps.append(p if bit else 65_536 - p)
            mixture.update(lane, network, bit)
        taken.append(-math.log2(math.prod(p / 65_536 for p in ps)))
    assert taken[0] < taken[1] - 1


def test_numbers_wrap_around_and_rates_fall_to_the_last() -> None:
    for x in (0, -1, 2**31 - 1, -(2**31), 2**31, 2**32 + 5, -(2**31) - 1):
        assert _int32(x) == int(np.array(x & 0xFFFFFFFF, np.uint32).view(np.int32))
    assert _compute_rate(0, 655, 20_000) == 655
    assert _compute_rate(20_000, 655, 20_000) == 100 + 555 // 2
    assert _compute_rate(10**9, 655, 20_000) == 100


def test_every_predictor_learns() -> None:
    text = b"it was the best, it was the worst\n" * 3
    memory, fresh = Memory(12, 12), Memory(12, 12)
    _bits_of(text, memory)
    assert all(mine != first for mine, first in zip(memory.histories, fresh.histories, strict=True))
    assert all(mine != first for mine, first in zip(memory.matches, fresh.matches, strict=True))
    assert all(memory.apms)
    assert memory.weights_of_sets != fresh.weights_of_sets
    assert (memory.weights != fresh.weights).any()
    assert memory.network_maps == fresh.network_maps
