"""Logits, and what learns from single bits: StateMaps, APMs and bit histories, as PAQ calls them; in plain Python.

The specification of ``state_maps.h`` and ``bit_history.h`` in ``kernels/codec``.
A probability is of 16 bits, 1 to 65,535. A logit is ln(p / (1 - p)) in steps of 1/256. ``>>`` rounds down, ``//`` is
used of numbers that are not negative only.
"""

ONE = 1 << 16
"""The probability 1."""
LOGIT_LIMIT = 2815
"""11 nats."""


def _squashed() -> list[int]:
    one, step = 1 << 32, 4_278_222_805  # e^(-1/256) of it
    upper: list[int] = []
    power = one  # e^(-x/256) of it
    for _ in range(LOGIT_LIMIT + 1):
        upper.append(min(((one << 16) + (one + power) // 2) // (one + power), ONE - 1))
        power = power * step >> 32
    return [ONE - p for p in upper[:0:-1]] + upper


def _stretched() -> list[int]:
    stretched = [0] * ONE
    x = 0
    for p in range(ONE // 2, ONE):
        while x < LOGIT_LIMIT and squash(x) < p:
            x += 1
        stretched[p] = x
        stretched[ONE - p] = -x
    stretched[0] = stretched[1]
    return stretched


_SQUASHED = _squashed()


def squash(logit: int) -> int:
    """The probability of a logit within the limit."""
    return _SQUASHED[logit + LOGIT_LIMIT]


_STRETCHED = _stretched()


def stretch(p: int) -> int:
    """From 1/2 on the least logit whose probability is ``p`` or more; below, by symmetry."""
    return _STRETCHED[p]


def clamp_logit(x: int) -> int:
    """The nearest logit within the limit."""
    return max(-LOGIT_LIMIT, min(LOGIT_LIMIT, x))


RATES = [2 * ONE // (2 * n + 3) for n in range(1024)]
"""1 / (n + 1.5): how far a probability that has seen n bits goes towards the next."""

COUNT_LIMIT = 1023


def state_map(p: int, count: int) -> int:
    """A probability of 22 bits and how many bits it has seen, in one number; ``p`` is of 16 bits."""
    return p << 16 | count


def state_map_p(number: int) -> int:
    """Its probability, of 16 bits."""
    return number >> 16


def learn(number: int, bit: int) -> int:
    """The number after a bit."""
    count, p = number & 1023, number >> 10
    p += (((bit << 22) - p) * RATES[count]) >> 16
    p = max(64, min((1 << 22) - 64, p))
    return p << 10 | min(count + 1, COUNT_LIMIT)


POINTS, POINT_STEP = 24, 245
_UPPER_POINTS = [squash(clamp_logit((2 * j + 1) * POINT_STEP // 2)) for j in range(POINTS // 2)]
FIRST_POINTS = [ONE - p for p in reversed(_UPPER_POINTS)] + _UPPER_POINTS
"""A APM's probabilities at first: what comes out is what goes in, about."""


def apm_place(logit: int) -> tuple[int, int]:
    """Between which points a logit lies: the lower one, and the share of the upper one of 1024."""
    low, weight = divmod((logit + LOGIT_LIMIT + 3) * 1024 // POINT_STEP, 1024)
    return (POINTS - 2, 1023) if low > POINTS - 2 else (low, weight)


def learn_point(p: int, bit: int) -> int:
    """A point after a bit."""
    p += ((bit << 16) - bit - p) >> 6
    return max(16, min(ONE - 17, p))


class BitHistories:
    """States that say about how many zeros and ones were seen in a context, and which came last.

    State 0 is "nothing". The others are numbered as they are reached from it, breadth first, zero before one.

    Attributes:
        zeros: Of each state, how many zeros it stands for.
        ones: The same of ones.
        next: Of each state, the states after a zero and after a one.
    """

    _MAX = (41, 15, 9, 7, 6, 5)
    """Of the commoner bit, by how many there are of the other."""

    def __init__(self) -> None:
        self._number = {(0, 0, 0): 0}  # (zeros, ones, which came last plus 1 where both were seen)
        self.next: list[tuple[int, int]] = []
        states = [(0, 0, 0)]
        for state in states:
            following = [self._after(state, bit) for bit in (0, 1)]
            states += [new for new in dict.fromkeys(following) if new not in self._number]
            for new in following:
                self._number.setdefault(new, len(self._number))
            self.next.append((self._number[following[0]], self._number[following[1]]))
        self.zeros = [state[0] for state in states]
        self.ones = [state[1] for state in states]

    def _after(self, state: tuple[int, int, int], bit: int) -> tuple[int, int, int]:
        seen = [state[0], state[1]]
        seen[bit] += 1
        other = seen[1 - bit]
        if other > 2:  # a bit that contradicts many forgets most of them
            other = 6 if other > 25 else 5 if other > 12 else 4 if other > 6 else 3 if other > 3 else 2
        while not self._allowed(seen[bit], other):
            if seen[bit] > other or other <= 1:
                seen[bit] -= 1
            else:
                other -= 1
        seen[1 - bit] = other
        return seen[0], seen[1], bit + 1 if seen[0] and seen[1] else 0

    def _allowed(self, one: int, other: int) -> bool:
        fewer, more = sorted((one, other))
        return fewer < len(self._MAX) and more <= self._MAX[fewer]


HISTORIES = BitHistories()
