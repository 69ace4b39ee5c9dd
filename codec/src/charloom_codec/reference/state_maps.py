"""Adaptive probabilities, as in PAQ: StateMaps, APMs and bit histories; and stretch and squash.

The reference implementation of ``state_maps.h`` and ``bit_history.h`` in ``codec/kernels/mixing``. A probability has 16
bits, 1 to 65,535. A logit is ln(p / (1 - p)) in steps of 1/256. ``>>`` rounds down; ``//`` has no negative operands,
because it rounds down in Python but towards zero in C++.
"""

ONE = 1 << 16
"""The probability 1."""
LOGIT_LIMIT = 2815
"""Largest magnitude of a logit: 11 nats, a probability of about 1/65,536."""


def _make_squash_table() -> list[int]:
    # By integer multiplication and division alone, so that the table is equal on every machine.
    one, step = 1 << 32, 4_278_222_805  # 1 and e^(-1/256), with 32 fraction bits
    upper: list[int] = []
    power = one  # e^(-x/256)
    for _ in range(LOGIT_LIMIT + 1):
        upper.append(min(((one << 16) + (one + power) // 2) // (one + power), ONE - 1))
        power = power * step >> 32
    return [ONE - p for p in upper[:0:-1]] + upper


def _make_stretch_table() -> list[int]:
    stretched = [0] * ONE
    x = 0
    for p in range(ONE // 2, ONE):
        while x < LOGIT_LIMIT and squash(x) < p:
            x += 1
        stretched[p] = x
        stretched[ONE - p] = -x
    stretched[0] = stretched[1]
    return stretched


_SQUASH_TABLE = _make_squash_table()


def squash(logit: int) -> int:
    """Returns the probability of a logit within the limit."""
    return _SQUASH_TABLE[logit + LOGIT_LIMIT]


_STRETCH_TABLE = _make_stretch_table()


def stretch(p: int) -> int:
    """Returns the logit of a probability: from 1/2, the least one whose probability is at least ``p``."""
    return _STRETCH_TABLE[p]


def clamp_logit(x: int) -> int:
    """Returns the nearest logit within the limit."""
    return max(-LOGIT_LIMIT, min(LOGIT_LIMIT, x))


RATES = [2 * ONE // (2 * n + 3) for n in range(1024)]
"""Adaptation rate of a probability that has seen n bits, 1 / (n + 1.5) with 16 fraction bits, as in lpaq."""

COUNT_LIMIT = 1023


def make_state_map(p: int, count: int) -> int:
    """Returns a StateMap: a probability in the upper 22 bits and the number of bits that it has seen in the lower 10.

    Args:
        p: Initial probability, of 16 bits.
        count: Initial number of bits, which determines the adaptation rate.
    """
    return p << 16 | count


def update_state_map(state_map: int, bit: int) -> int:
    """Returns a StateMap after a bit."""
    count, p = state_map & 1023, state_map >> 10
    p += (((bit << 22) - p) * RATES[count]) >> 16
    # The limits keep the 16-bit probability away from 0 and 1.
    p = max(64, min((1 << 22) - 64, p))
    return p << 10 | min(count + 1, COUNT_LIMIT)


# Points 245 / 256 nats apart, 11.5 steps to either side of logit 0.
POINTS, POINT_STEP = 24, 245
_UPPER_POINTS = [squash(clamp_logit((2 * j + 1) * POINT_STEP // 2)) for j in range(POINTS // 2)]
INITIAL_POINTS = [ONE - p for p in reversed(_UPPER_POINTS)] + _UPPER_POINTS
"""Initial points of an APM, with which it returns about the probability that it gets."""


def locate_in_apm(logit: int) -> tuple[int, int]:
    """Returns the index of the point below a logit, and the weight of the point above it, of 1024."""
    # The lowest point is 11.5 steps of 245 below 0, at about -(LOGIT_LIMIT + 3).
    low, weight = divmod((logit + LOGIT_LIMIT + 3) * 1024 // POINT_STEP, 1024)
    return (POINTS - 2, 1023) if low > POINTS - 2 else (low, weight)


def update_point(p: int, bit: int, rate: int) -> int:
    """Returns a point of an APM after a bit. The rate is of 256."""
    p += ((bit << 16) - bit - p) * rate >> 8
    return max(16, min(ONE - 17, p))


class BitHistoryTable:
    """Table of bit histories: states that approximate the numbers of zeros and ones in a context, and the last bit.

    State 0 is "no bit seen". The others are numbered in the order in which they are reached from it, breadth first,
    zero before one.

    Attributes:
        zeros: Number of zeros for each state.
        ones: Number of ones for each state.
        next: States after a zero and after a one, for each state.
    """

    # Counts of the more frequent bit at most, indexed by the count of the other. They keep the number of states within
    # a byte.
    _MAX_COUNTS = (41, 15, 9, 7, 6, 5)

    def __init__(self) -> None:
        self._number = {(0, 0, 0): 0}  # (zeros, ones, the last bit plus 1 if both were seen)
        self.next: list[tuple[int, int]] = []
        states = [(0, 0, 0)]
        for state in states:  # which grows during the loop, until no new state is reached
            following = [self._update_state(state, bit) for bit in (0, 1)]
            states += [new for new in dict.fromkeys(following) if new not in self._number]
            for new in following:
                self._number.setdefault(new, len(self._number))
            self.next.append((self._number[following[0]], self._number[following[1]]))
        self.zeros = [state[0] for state in states]
        self.ones = [state[1] for state in states]

    def _update_state(self, state: tuple[int, int, int], bit: int) -> tuple[int, int, int]:
        seen = [state[0], state[1]]
        seen[bit] += 1
        other = seen[1 - bit]
        # A bit that contradicts many others discards most of them, so that the history adapts to a change.
        if other > 2:
            other = 6 if other > 25 else 5 if other > 12 else 4 if other > 6 else 3 if other > 3 else 2
        while not self._is_allowed(seen[bit], other):
            if seen[bit] > other or other <= 1:
                seen[bit] -= 1
            else:
                other -= 1
        seen[1 - bit] = other
        return seen[0], seen[1], bit + 1 if seen[0] and seen[1] else 0

    def _is_allowed(self, one: int, other: int) -> bool:
        fewer, more = sorted((one, other))
        return fewer < len(self._MAX_COUNTS) and more <= self._MAX_COUNTS[fewer]


BIT_HISTORY_TABLE = BitHistoryTable()
