"""The learned state of the mixture, in plain Python: the specification of ``kernels/codec/mixing/memory.h``.

Tables of slots and of APMs are dictionaries that hold what was ever touched.
"""

import numpy as np
from numpy.typing import NDArray

from charloom.codec.reference.contexts import CONTEXTS, FULL, MATCH_MAPS, MATCH_MISSES, MATCHES
from charloom.codec.reference.state_maps import HISTORIES, ONE, state_map

MATCH_INPUT = 2 * CONTEXTS + FULL
NETWORK_INPUT = MATCH_INPUT + 2 * MATCHES
INPUTS = NETWORK_INPUT + 2 + 1
"""Two of each context, one of each full one, two of each match, two of the network, and a constant."""
SETS = 7
LOGIT_STEPS = 32
"""Steps of the logit that the network gives."""
SET_SIZES = (10 * 64, 2 * 256, 256, 8 * 16 * 8, LOGIT_STEPS * 64, 256 * 8, 256)
"""Rows of weights in each set; ``Mixture.predict`` chooses one of each."""
FIRST_ROWS = tuple(sum(SET_SIZES[:s]) for s in range(SETS))
APMS = 3
WEIGHT_BITS = 14
WEIGHT_ONE = 1 << WEIGHT_BITS
_32_BITS = (1 << 32) - 1


class Slot:
    """The 15 nodes of half a byte in one context: the first bit's, then two, four and eight.

    Attributes:
        check: Of the context, never 0 once there is one.
        history: Of each node, a state of BitHistories.
        p: Of each node, the probability that its bit is 1. Full slots use it.
        count: Of each node, how many bits that probability has seen.
    """

    def __init__(self) -> None:
        self.take(0)

    def take(self, check: int) -> None:
        """For another context: what it knew is forgotten."""
        self.check = check
        self.history, self.p, self.count = [0] * 15, [ONE // 2] * 15, [0] * 15


class Table:
    """2^bits slots, found by a context's hash."""

    def __init__(self, bits: int, *, full: bool) -> None:
        self._bits = bits
        self._full = full
        self._check_mask = 0xFFFF if full else 0xFF
        self._slots: dict[int, Slot] = {}

    def find(self, key: int) -> Slot:
        """The slot of a context; where there is none, that of three neighbours which has seen least is taken for it."""
        home = (key * 0x2545F491 & _32_BITS) >> (32 - self._bits)
        check = key & self._check_mask or 1
        places = [home ^ i for i in range(3)]
        for place in places:
            slot = self._slots.get(place)
            if slot is not None and slot.check == check:
                return slot
        taken = self._slots.setdefault(min(places, key=self._seen), Slot())
        taken.take(check)
        return taken

    def _seen(self, place: int) -> int:
        slot = self._slots.get(place)
        if slot is None:
            return 0
        state = slot.history[0]
        return 1 + (slot.count[0] if self._full else HISTORIES.zeros[state] + HISTORIES.ones[state])


class Memory:
    """All that the mixture has learnt.

    Attributes:
        full: Slots of the frequent contexts.
        light: Slots of the others, whose probabilities are not used.
        histories: (contexts, states), what came of each state: ``learned`` numbers.
        matches: (matches, MATCH_MAPS), what came of each kind of match.
        network: (LOGIT_STEPS * 64,), what came of what the network logit_step.
        weights: int64 (rows of all sets, INPUTS), within int16; 1 is 2^14.
        weights_of_sets: (8 * 64, SETS), int32; 1 is 2^16.
        apms: Of each APM, points by context, for those that have learnt; the others have FIRST_POINTS.
        places: Of each match, by the hash of the bytes before it, the last place.
        bytes_read: How many bytes.
        bytes_with_network: How many of them with a network.
    """

    def __init__(self, full_bits: int, light_bits: int) -> None:
        self.full = Table(full_bits, full=True)
        self.light = Table(light_bits, full=False)
        of_states = [
            state_map((5 * ones + 2) * ONE // (5 * (zeros + ones) + 4), 6)
            for zeros, ones in zip(HISTORIES.zeros, HISTORIES.ones, strict=True)
        ]
        self.histories = [of_states[:] for _ in range(CONTEXTS)]
        of_maps = []
        for match_map in range(MATCH_MAPS):
            length_class, expected_bit = match_map // (8 * 2 * MATCH_MISSES), match_map // 8 % 2
            wrong = ONE // (length_class + 2)
            of_maps.append(state_map(ONE - wrong if expected_bit else wrong, 2))
        self.matches = [of_maps[:] for _ in range(MATCHES)]
        self.network_maps = [state_map(ONE // 2, 0)] * (LOGIT_STEPS * 64)
        self.weights: NDArray[np.int64] = np.full((sum(SET_SIZES), INPUTS), WEIGHT_ONE * 16 // 100, np.int64)
        self.weights[:, NETWORK_INPUT : NETWORK_INPUT + 2] = WEIGHT_ONE // 4
        self.weights_of_sets = [[ONE // SETS] * SETS for _ in range(8 * 64)]
        self.apms: list[dict[int, list[int]]] = [{} for _ in range(APMS)]
        self.places: list[dict[int, int]] = [{} for _ in range(MATCHES)]
        self.bytes_read = 0
        self.bytes_with_network = 0

    def start_network(self) -> None:
        """Before the network predicts first: circumstances that only it makes begin with the weights of the others."""
        for s, step, block in (
            (0, 8, 1),  # by confidence
            (1, 2 * 256, 256),  # by whether the likeliest may come
            (4, LOGIT_STEPS * 64, 8),  # by logit and confidence
            (6, 256, 1),  # by the likeliest byte
        ):
            rows = self.weights[FIRST_ROWS[s] : FIRST_ROWS[s] + SET_SIZES[s]]
            place = np.arange(SET_SIZES[s])
            rows[:] = rows[place // step * step + place % block]
        for i in range(64, 8 * 64):
            self.weights_of_sets[i] = self.weights_of_sets[i % 64][:]
