"""Memory of the mixture: slots by context, and weights by weight set."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charloom_codec.reference.byte_trees import NODE_IDS
from charloom_codec.reference.memory import FIRST_ROWS, INPUTS, LOGIT_STEPS, SET_SIZES, Memory, Table
from charloom_codec.reference.state_maps import ONE


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=30, unique_by=lambda key: key & 0xFFFF or 1))
def test_a_context_finds_its_slot_again(keys: list[int]) -> None:
    """If the table is large enough."""
    table = Table(22, full=True)
    for number, key in enumerate(keys):
        table.find(key).count[0] = number + 1
    assert [table.find(key).count[0] for key in keys] == [number + 1 for number in range(len(keys))]


def test_the_neighbor_with_the_smallest_count_is_replaced() -> None:
    table = Table(0, full=True)  # one home slot; its neighbors are 1 and 2
    for key, seen in ((1, 5), (2, 3), (3, 9)):
        table.find(key).count[0] = seen
    slot = table.find(4)
    assert slot.check == 4
    assert slot.count == [0] * 15
    assert slot.p == [ONE // 2] * 15
    assert [table.find(key).count[0] for key in (1, 3)] == [5, 9]
    assert table.find(2).count[0] == 0, "forgotten"


def test_a_check_is_never_zero_and_of_one_byte_in_light_tables() -> None:
    assert Table(4, full=True).find(0).check == 1
    assert Table(4, full=True).find(0x1FFFF).check == 0xFFFF
    assert Table(4, full=False).find(0x1FF).check == 0xFF
    assert Table(4, full=False).find(0x100).check == 1


def test_weights_of_network_sets_start_as_those_without_a_network() -> None:
    memory = Memory(4, 4)
    assert memory.weights.shape == (sum(SET_SIZES), INPUTS)
    memory.weights[:] = np.arange(len(memory.weights))[:, None]
    memory.weights_of_sets[9] = [9] * 7
    memory.initialize_network_weights()
    rows = memory.weights[:, 0]
    for place in range(SET_SIZES[0]):  # (length, order, confidence): of confidence 0
        assert rows[place] == place - place % 8
    for place in range(SET_SIZES[1]):  # (is most likely, node): of one that is not
        assert rows[FIRST_ROWS[1] + place] == FIRST_ROWS[1] + place % NODE_IDS
    for place in range(LOGIT_STEPS * 64):  # (logit, confidence, depth): of the depth alone
        assert rows[FIRST_ROWS[4] + place] == FIRST_ROWS[4] + place % 8
    for unchanged in (2, 3, 5):
        first = FIRST_ROWS[unchanged]
        assert (rows[first : first + SET_SIZES[unchanged]] == np.arange(first, first + SET_SIZES[unchanged])).all()
    assert memory.weights_of_sets[64 * 3 + 9] == [9] * 7
    memory.weights_of_sets[64 * 3 + 9][0] = 1
    assert memory.weights_of_sets[9] == [9] * 7, "a copy"
