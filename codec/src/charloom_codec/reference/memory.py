"""Learned state of context mixing, the reference implementation of ``codec/kernels/mixing/memory.h``.

Tables of slots and of APMs are dictionaries with the entries that were used.
"""

import numpy as np
from numpy.typing import NDArray

from charloom_codec.reference.byte_trees import NODE_IDS
from charloom_codec.reference.contexts import CONTEXTS, FULL, MATCH_MAPS, MATCH_MISSES, MATCHES
from charloom_codec.reference.state_maps import BIT_HISTORY_TABLE, ONE, make_state_map

MATCH_INPUT = 2 * CONTEXTS + FULL
NETWORK_INPUT = MATCH_INPUT + 2 * MATCHES
INPUTS = NETWORK_INPUT + 2 + 1
"""Number of inputs: two of each context, one of each full slot, two of each match, two of the network, a constant."""
SETS = 7
LOGIT_STEPS = 32
"""Number of steps of the quantized logit of the network prediction."""
SET_SIZES = (10 * 64, 2 * NODE_IDS, 256, 8 * 16 * 8, LOGIT_STEPS * 64, 256 * 8, 256)
"""Number of weight vectors (rows) in each weight set; ``ContextMixing.predict`` selects one of each."""
FIRST_ROWS = tuple(sum(SET_SIZES[:s]) for s in range(SETS))
APMS = 3
WEIGHT_BITS = 14
WEIGHT_ONE = 1 << WEIGHT_BITS
_32_BITS = (1 << 32) - 1


class Slot:
    """The 15 nodes of four decisions of a byte in one context: of the first one, then two, four and eight.

    Attributes:
        check: Check of the context, which verifies that the slot is the context's; 0 for a free slot.
        history: State of the BitHistoryTable for each node; 0: no bit seen.
        p: Probability that the bit is 1 for each node; used by full slots only.
        count: Number of bits that the probability has seen, at most 250, for each node.
    """

    def __init__(self) -> None:
        self.clear(0)

    def clear(self, check: int) -> None:
        """Resets the slot for another context.

        Args:
            check: Check of that context.
        """
        self.check = check
        self.history, self.p, self.count = [0] * 15, [ONE // 2] * 15, [0] * 15


class Table:
    """Hash table of 2^bits slots."""

    def __init__(self, bits: int, *, full: bool) -> None:
        self._bits = bits
        self._full = full
        self._check_mask = 0xFFFF if full else 0xFF
        self._slots: dict[int, Slot] = {}

    def find(self, key: int) -> Slot:
        """Returns the slot of a context. If it has none, the one of three slots that has seen fewest bits is replaced.

        Args:
            key: Hash of the context.
        """
        home = (key * 0x2545F491 & _32_BITS) >> (32 - self._bits)
        check = key & self._check_mask or 1  # 0 marks a free slot
        # XOR keeps the three within one group of four slots.
        indices = [home ^ i for i in range(3)]
        for index in indices:
            slot = self._slots.get(index)
            if slot is not None and slot.check == check:
                return slot
        victim = self._slots.setdefault(min(indices, key=self._priority), Slot())
        victim.clear(check)
        return victim

    def _priority(self, index: int) -> int:
        slot = self._slots.get(index)
        if slot is None:
            return 0
        # All decisions of the slot pass the first node.
        state = slot.history[0]
        return 1 + (slot.count[0] if self._full else BIT_HISTORY_TABLE.zeros[state] + BIT_HISTORY_TABLE.ones[state])


class Memory:
    """Learned state of context mixing.

    Attributes:
        full: Slots of the frequent contexts, with probabilities beside bit histories.
        light: Slots of the other contexts, with bit histories alone.
        histories: StateMap of each bit history in each context, (contexts, states).
        matches: StateMap of each kind of match, (matches, MATCH_MAPS).
        network_maps: StateMap of each class of network predictions, (LOGIT_STEPS * 64,).
        weights: Weights of all weight sets, int64 (rows of all sets, INPUTS), within int16; 1.0 is 2^14.
        weights_of_sets: Weights of the final mixer, (8 * 64, SETS), within int32; 1.0 is 2^16.
        apms: Points by context for each APM; contexts that were not updated have INITIAL_POINTS.
        correction: Weights of the prediction and of its correction, within int32; 1.0 is 2^16.
        match_tables: Last position by hash of the bytes before it, for each match model.
        bytes_read: Number of bytes read.
        bytes_with_network: Number of bytes read while the network predicted.
    """

    def __init__(self, full_bits: int, light_bits: int) -> None:
        self.full = Table(full_bits, full=True)
        self.light = Table(light_bits, full=False)
        # The initial probability of a state is that of its counts, with 0.4 added to each.
        state_map_of_history = [
            make_state_map((5 * ones + 2) * ONE // (5 * (zeros + ones) + 4), 6)
            for zeros, ones in zip(BIT_HISTORY_TABLE.zeros, BIT_HISTORY_TABLE.ones, strict=True)
        ]
        self.histories = [state_map_of_history[:] for _ in range(CONTEXTS)]
        state_map_of_match = []
        for match_map in range(MATCH_MAPS):
            length_class, expected_bit = match_map // (8 * 2 * MATCH_MISSES), match_map // 8 % 2
            # Longer matches are wrong less often.
            p_wrong = ONE // (length_class + 2)
            state_map_of_match.append(make_state_map(ONE - p_wrong if expected_bit else p_wrong, 2))
        self.matches = [state_map_of_match[:] for _ in range(MATCHES)]
        self.network_maps = [make_state_map(ONE // 2, 0)] * (LOGIT_STEPS * 64)
        self.weights: NDArray[np.int64] = np.full((sum(SET_SIZES), INPUTS), WEIGHT_ONE * 16 // 100, np.int64)
        # The weights of the network start higher than those of a context.
        self.weights[:, NETWORK_INPUT : NETWORK_INPUT + 2] = WEIGHT_ONE // 4
        self.weights_of_sets = [[ONE // SETS] * SETS for _ in range(8 * 64)]
        self.apms: list[dict[int, list[int]]] = [{} for _ in range(APMS)]
        self.match_tables: list[dict[int, int]] = [{} for _ in range(MATCHES)]
        self.correction = [ONE, ONE]
        self.bytes_read = 0
        self.bytes_with_network = 0

    def initialize_network_weights(self) -> None:
        """Initializes the weight vectors that are selected by network predictions, before the first of them.

        They start as copies of those that were trained without the network.
        """
        # The first `block` rows of each `step` rows are copied over the others.
        for s, step, block in (
            (0, 8, 1),  # confidence
            (1, 2 * NODE_IDS, NODE_IDS),  # whether the likeliest token is still possible
            (4, LOGIT_STEPS * 64, 8),  # logit and confidence
            (6, 256, 1),  # first byte of the likeliest token
        ):
            rows = self.weights[FIRST_ROWS[s] : FIRST_ROWS[s] + SET_SIZES[s]]
            row = np.arange(SET_SIZES[s])
            rows[:] = rows[row // step * step + row % block]
        for i in range(64, 8 * 64):
            self.weights_of_sets[i] = self.weights_of_sets[i % 64][:]
