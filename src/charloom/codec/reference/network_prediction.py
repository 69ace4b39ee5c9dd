"""The network's prediction of a token as predictions of its bits and bytes, in plain Python.

The specification of ``network_prediction.h`` in ``kernels/codec``.

Tokens are byte strings, none the beginning of another, in the order of their bytes: those that fit what is known of
the next one are a range of that order, and each bit cuts it in two. A byte that fits none is "lost": the network says
nothing of its further bits, does not read it, and predicts a new token with the next byte.
"""

import bisect
import itertools

import numpy as np

from charloom.codec.model.integer_model import FREQUENCY_BITS, IntegerModel
from charloom.codec.reference.network import Frequencies, ReferenceNetwork

_CONFIDENCE = (20, 35, 50, 70, 85, 95, 99)
"""Hundredths of the likeliest token's probability from which confidence is 1, 2, ..."""


class NetworkPrediction:
    """One lane's. ``tokens``: of the model; an empty one (``<unk>``) is never predicted.

    Attributes:
        confidence: How likely the likeliest token is, 0 to 7.
    """

    def __init__(self, tokens: list[bytes]) -> None:
        order = sorted((token, number) for number, token in enumerate(tokens) if token)
        if not order:
            raise ValueError("no token has bytes")
        self._tokens = [token for token, _ in order]
        self._ids = [number for _, number in order]
        self._sums = [0] * (len(order) + 1)  # of the frequencies before each token
        self._range: tuple[int, int] | None = (0, len(order))  # of the tokens that fit; None: lost
        self._depth = 0  # bits that are known
        self._likeliest = 0
        self._predicted = False
        self.confidence = 0

    def begin(self, frequencies: Frequencies) -> None:
        """Begins a text: takes the first token's frequencies."""
        self._start_token()
        self.predict(frequencies)

    def predict(self, frequencies: Frequencies) -> None:
        """Takes the next token's frequencies, one for each of the model's tokens."""
        of_tokens = frequencies[self._ids].tolist()
        self._sums = list(itertools.accumulate(of_tokens, initial=0))
        self._likeliest = of_tokens.index(max(of_tokens))
        self.confidence = sum(max(of_tokens) * 100 >= self._sums[-1] * hundredths for hundredths in _CONFIDENCE)
        self._predicted = True

    def predicts(self) -> bool:
        """Whether there is a prediction of the next bit."""
        return self._predicted and self._range is not None

    def most_likely_byte(self) -> int:
        """The first byte of the likeliest token; 0 before anything was predicted."""
        return self._tokens[self._likeliest][0] if self._predicted else 0

    def is_most_likely(self) -> bool:
        """Whether what is known of the token is so in the likeliest."""
        return self._predicted and self._range is not None and self._range[0] <= self._likeliest < self._range[1]

    def p(self) -> int:
        """The probability, of 16 bits, that the next bit is 1."""
        _, ones = self._halves()
        return max(1, min(65_535, (self._sum(*ones) << 16) // self._sum(*self._now())))

    def start_byte(self) -> None:
        """After a lost byte a new token begins."""
        if self._predicted and self._range is None:
            self._start_token()

    def read(self, bit: int) -> None:
        """After a bit."""
        if not self.predicts():
            return
        first, last = self._halves()[bit]
        self._range = (first, last) if first < last else None
        self._depth += 1

    def take_token(self) -> int | None:
        """After a byte: the id of the token that is now complete, whose successor then begins; None if none is."""
        if not self.predicts():
            return None
        first = self._now()[0]
        if self._depth < 8 * len(self._tokens[first]):
            return None
        self._start_token()
        return self._ids[first]

    # The same by whole bytes. The bytes that may come next share ``total``; what is above ``escape`` is for all others.

    def escape(self) -> int:
        """What the bytes have that may come next."""
        return self._sum(*self._now())

    def total(self) -> int:
        """All others have what the network gives to ``<unk>`` where a token begins; else as little as can be."""
        rest = (1 << FREQUENCY_BITS) - self.escape() if self._depth == 0 else 0
        return self.escape() + max(rest, 1)

    def part_of(self, byte: int) -> tuple[int, int]:
        """Start and size of a byte's part; size 0 for a byte that cannot come next."""
        begin, end = self._now()
        place = self._depth // 8
        first = bisect.bisect_left(self._tokens, byte, begin, end, key=lambda token: token[place])
        last = bisect.bisect_right(self._tokens, byte, begin, end, key=lambda token: token[place])
        return self._sums[first] - self._sums[begin], self._sum(first, last)

    def byte_at(self, number: int) -> int:
        """The byte whose part a number below ``escape`` lies in."""
        begin, end = self._now()
        token = bisect.bisect_right(self._sums, self._sums[begin] + number, begin, end) - 1
        return self._tokens[token][self._depth // 8]

    def _now(self) -> tuple[int, int]:
        assert self._range is not None
        return self._range

    def _start_token(self) -> None:
        self._range, self._depth = (0, len(self._tokens)), 0

    def _sum(self, first: int, last: int) -> int:
        return self._sums[last] - self._sums[first]

    def _halves(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The tokens whose next bit is 0, and those whose is 1."""
        first, last = self._now()
        place, shift = self._depth // 8, 7 - self._depth % 8
        middle = bisect.bisect_left(self._tokens, 1, first, last, key=lambda token: token[place] >> shift & 1)
        return (first, middle), (middle, last)


class NetworkLanes:
    """The network in several lanes: they take turns, a byte each; then it reads the tokens that are complete."""

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        tokens = model.tokens()
        self._model = model
        self._predictions = [NetworkPrediction(tokens) for _ in range(lanes)]
        self._complete = np.full(lanes, -1, np.int64)

    def __getitem__(self, lane: int) -> NetworkPrediction:
        return self._predictions[lane]

    def begin(self) -> None:
        """The network predicts the first token of a text in each lane."""
        self._network = ReferenceNetwork(self._model, len(self._predictions))
        for prediction, frequencies in zip(self._predictions, self._network.frequencies, strict=True):
            prediction.begin(frequencies)

    def end_byte(self, lane: int) -> None:
        """After a byte of a lane."""
        token = self._predictions[lane].take_token()
        self._complete[lane] = -1 if token is None else token
        if lane < len(self._predictions) - 1 or self._complete.max() < 0:
            return
        self._network.step(self._complete)
        for number in np.flatnonzero(self._complete >= 0):
            self._predictions[number].predict(self._network.frequencies[number])
        self._complete[:] = -1
