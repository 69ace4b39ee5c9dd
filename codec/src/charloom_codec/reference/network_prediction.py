"""The network's prediction of a token, converted to predictions of decisions and bytes; in several lanes.

The reference implementation of ``codec/kernels/network/network_prediction.h``.

Tokens are byte strings, none a prefix of another, sorted by their bytes. Those that agree with the known bytes and
decisions are a range, which each decision divides in two. A byte that fits no token is "lost": the network
does not predict its remaining decisions, does not read it, and predicts a new token from the next byte on.
"""

import bisect
import itertools
import math

import numpy as np

from charloom_codec.model.integer_model import FREQUENCY_BITS, IntegerModel
from charloom_codec.reference.byte_trees import Node
from charloom_codec.reference.network import Frequencies, ReferenceNetwork

_CONFIDENCE = (20, 35, 50, 70, 85, 95, 99)
"""Least probabilities of the likeliest token, in percent, for confidence 1, 2, ..."""


class NetworkPrediction:
    """Network prediction of one lane.

    Attributes:
        confidence: Class of the probability of the likeliest token, 0 to 7.
    """

    def __init__(self, tokens: list[bytes]) -> None:
        """Initializes the prediction.

        Args:
            tokens: Tokens of the model. An empty one (``<unk>``) is never predicted.
        """
        order = sorted((token, number) for number, token in enumerate(tokens) if token)
        if not order:
            raise ValueError("no token has bytes")
        self._tokens = [token for token, _ in order]
        self._ids = [number for _, number in order]
        self._sums = [0] * (len(order) + 1)  # cumulative frequencies, in the order of the tokens' bytes
        self._range: tuple[int, int] | None = (0, len(order))  # tokens that agree with the known bytes; None: lost
        self._depth = 0  # number of known bytes
        # Tokens that agree with the known decisions, too, and the first of those for which the next decision is 1.
        self._first = self._middle = self._last = 0
        self._likeliest = 0
        self._predicted = False
        self.confidence = 0

    def start(self, frequencies: Frequencies) -> None:
        """Starts a text.

        Args:
            frequencies: Frequencies of its first token, (vocabulary,).
        """
        self._start_token()
        self.predict(frequencies)

    def predict(self, frequencies: Frequencies) -> None:
        """Sets the frequencies of the next token, (vocabulary,)."""
        token_frequencies = frequencies[self._ids].tolist()
        self._sums = list(itertools.accumulate(token_frequencies, initial=0))
        # The first of equal ones, as in the native code.
        self._likeliest = token_frequencies.index(max(token_frequencies))
        self.confidence = sum(max(token_frequencies) * 100 >= self._sums[-1] * hundredths for hundredths in _CONFIDENCE)
        self._predicted = True

    def predicts(self) -> bool:
        """Returns whether there is a prediction of the decision."""
        return self._predicted and self._first < self._last

    def likeliest_byte(self) -> int:
        """Returns the first byte of the likeliest token, or 0 before the first prediction."""
        return self._tokens[self._likeliest][0] if self._predicted else 0

    def is_likeliest(self) -> bool:
        """Returns whether the known bytes and decisions agree with the likeliest token."""
        return self._predicted and self._first <= self._likeliest < self._last

    def p(self) -> int:
        """Returns the probability that the decision is 1, of 16 bits."""
        # Never 0 or 1, so that the coder can code either bit.
        p = (self._sum(self._middle, self._last) << 16) // self._sum(self._first, self._last)
        return max(1, min(65_535, p))

    def start_byte(self) -> None:
        """Starts a new token if the last byte was lost."""
        if self._predicted and self._range is None:
            self._start_token()

    def narrow(self, node: Node) -> None:
        """Sets the decision to predict: that of a node of the tree of the next byte."""
        self._first, self._middle, self._last = map(self._find, (node.first, node.middle, node.last))

    def update(self, byte: int) -> int | None:
        """Reads a byte. Returns the id of the token that it completes, and expects the next one; None otherwise."""
        if not self._predicted or self._range is None:
            return None
        first, last = self._find(byte), self._find(byte + 1)
        self._range, self._depth = (first, last) if first < last else None, self._depth + 1
        # No token is a prefix of another, so the range of a complete token contains nothing else.
        if self._range is None or self._depth < len(self._tokens[first]):
            return None
        self._start_token()
        return self._ids[first]

    # The prediction of whole bytes. Frequencies below ``escape`` belong to the bytes that can come next, those from
    # there to ``total`` to all others.

    def escape(self) -> int:
        """Returns the sum of the frequencies of the bytes that can come next."""
        return self._sum(*self._current_range())

    def total(self) -> int:
        """Returns the sum of the frequencies of all bytes."""
        # At the start of a token, the other bytes have the frequency that the network gives to <unk>; within a token
        # the least possible.
        rest = (1 << FREQUENCY_BITS) - self.escape() if self._depth == 0 else 0
        return self.escape() + max(rest, 1)

    def interval_of(self, byte: int) -> tuple[int, int]:
        """Returns start and size of a byte's interval; size 0 for a byte that cannot come next."""
        first, last = self._find(byte), self._find(byte + 1)
        return self._sum(self._current_range()[0], first), self._sum(first, last)

    def compute_entropy(self) -> float:
        """Returns the entropy of the next byte in bits. Each of the 256 bytes can follow the escape."""
        total, escape = self.total(), self.escape()
        sizes = [size for byte in range(256) if (size := self.interval_of(byte)[1])]
        bits = sum(size * math.log2(total / size) for size in sizes)
        return (bits + (total - escape) * (math.log2(total / (total - escape)) + 8)) / total

    def byte_at(self, number: int) -> int:
        """Returns the byte whose interval contains a number below ``escape``."""
        start, end = self._current_range()
        token = bisect.bisect_right(self._sums, self._sums[start] + number, start, end) - 1
        return self._tokens[token][self._depth]

    def _current_range(self) -> tuple[int, int]:
        assert self._range is not None
        return self._range

    def _start_token(self) -> None:
        self._range, self._depth = (0, len(self._tokens)), 0

    def _sum(self, first: int, last: int) -> int:
        return self._sums[last] - self._sums[first]

    def _find(self, byte: int) -> int:
        """Returns the place of the first token that agrees with the known bytes and whose next byte is at least one."""
        if self._range is None:
            return 0
        return bisect.bisect_left(self._tokens, byte, *self._range, key=lambda token: token[self._depth])


class NetworkLanes:
    """Network in several lanes, which take turns, one byte each.

    After one byte in each lane, the network reads all complete tokens in one step.
    """

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        tokens = model.list_tokens()
        self._model = model
        self._predictions = [NetworkPrediction(tokens) for _ in range(lanes)]
        self._complete = np.full(lanes, -1, np.int64)

    def __getitem__(self, lane: int) -> NetworkPrediction:
        return self._predictions[lane]

    def start(self) -> None:
        """Starts a text in each lane."""
        self._network = ReferenceNetwork(self._model, len(self._predictions))
        for prediction, frequencies in zip(self._predictions, self._network.frequencies, strict=True):
            prediction.start(frequencies)

    def end_byte(self, lane: int, byte: int) -> None:
        """Reads a byte of a lane. The last lane runs the step of the network."""
        token = self._predictions[lane].update(byte)
        self._complete[lane] = -1 if token is None else token
        if lane < len(self._predictions) - 1 or self._complete.max() < 0:
            return
        # One step for all lanes: the weights are read once.
        self._network.step(self._complete)
        for number in np.flatnonzero(self._complete >= 0):
            self._predictions[number].predict(self._network.frequencies[number])
        self._complete[:] = -1
