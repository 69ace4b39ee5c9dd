"""The mixer learns from errors, in numbers that wrap around or saturate; its learning rate falls."""

import numpy as np

from charloom_codec.reference.memory import INPUTS, SETS, Memory
from charloom_codec.reference.mixer import Mixer, wrap_int32
from charloom_codec.reference.rules import MIXING_RULES


def test_numbers_wrap_around() -> None:
    for x in (0, -1, 2**31 - 1, -(2**31), 2**31, 2**32 + 5, -(2**31) - 1):
        assert wrap_int32(x) == int(np.array(x & 0xFFFFFFFF, np.uint32).view(np.int32))


def test_rates_fall_to_the_last() -> None:
    rates = MIXING_RULES[1]
    memory = Memory(4, 4)
    mixer = Mixer(rates, memory)
    for count, network_count, expected in (
        (0, None, 655),
        (20_000, None, 100 + 555 // 2),
        (10**9, None, 100),
        (10**9, 0, 328),
        (10**9, 2_000, 100 + 228 // 2),
        (0, 0, 655),
    ):
        memory.bytes_read, memory.bytes_with_network = count, network_count or 0
        mixer.start_byte(network_predicts=network_count is not None)
        assert mixer._rate == expected
        assert memory.bytes_read == count + 1
        assert memory.bytes_with_network == (network_count or 0) + (network_count is not None)


def test_an_error_changes_the_selected_weights_only() -> None:
    memory = Memory(4, 4)
    mixer = Mixer(MIXING_RULES[3], memory)
    mixer.start_byte(network_predicts=False)
    inputs, selected = [50] * INPUTS, [1] * SETS
    before, final = memory.weights.copy(), [row[:] for row in memory.weights_of_sets]
    first = mixer.mix(inputs, selected, 2)
    mixer.train(1, 40_000)
    changed = np.flatnonzero((memory.weights != before).any(1))
    assert len(changed) == SETS
    assert [i for i, row in enumerate(memory.weights_of_sets) if row != final[i]] == [2]
    assert mixer.mix(inputs, selected, 2) > first, "the bit was 1"
