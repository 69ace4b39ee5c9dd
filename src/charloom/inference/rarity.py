"""Rarity of lines: how seldom a line of the text that a model knows is as surprising.

Other scores depend on the log: a line of 300 bits is common in one and alarming in another. Rarity is comparable. It is
measured on lines that were held out from training, with the codec's mixture as it is before it reads them.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from charloom.inference.surprisal import Surprisal


class _Score(NamedTuple):
    """Score of a line.

    Attributes:
        of: Returns the score.
        min_excess: Minimum mean excess of its tail: in a log of nearly equal lines, a little more is no news.
        share: Share of the ordinary lines of any rarity that have it by this score.
        prior_weight: Number of lines beyond the start of the tail that ``min_excess`` counts as.
    """

    of: Callable[[Surprisal], float]
    min_excess: float
    share: float
    prior_weight: int = 0


def _length(line: Surprisal) -> int:
    """Returns the length in bytes, as held-out lines are bytes; invalid ones as their escapes."""
    return max(len(line.text.encode("utf-8", "surrogatepass")), 1)


_SCORES_OF_TEXT = (
    # If the probabilities of characters are correct, the bits of one beyond any number have a mean of log2(e). The tail
    # of the held-out lines alone would be too long: if a few are unusual themselves, hardly any other line is rare.
    _Score(lambda line: line.unexpected_bits or 0.0, math.log2(math.e), 0.9, prior_weight=10),
    _Score(lambda line: math.log(_length(line)), 0.2, 0.1),
)
"""Scores of lines that are read one after the other. New messages have unlikely characters, and so have ordinary ones
with a single change. The bits of a line do not show a change among its ids, addresses and numbers, and are high in each
of many new messages, for example while a system starts. The length is for lines that are many times longer than others,
but of ordinary parts."""
_SCORES_ALONE = (_Score(lambda line: line.bits, 2.0, 0.5), _Score(lambda line: line.bits_per_word, 0.5, 0.5))
"""Scores of lines that are scored alone: high for those that are longer than others, and for new messages."""
MIN_KNOWN_LINES = 20
_TAIL = 0.1
"""Share of the known lines whose scores determine how fast probabilities decrease beyond them."""
_MAX_RARITY = 300.0


class RarityScale:
    """Scale that assigns rarities to lines; made from the scores of known lines."""

    def __init__(self, known: Sequence[Surprisal], *, independent: bool = False) -> None:
        """Creates the scale.

        Args:
            known: At least MIN_KNOWN_LINES lines.
            independent: True if each line is scored alone.
        """
        self._scores = _SCORES_ALONE if independent else _SCORES_OF_TEXT
        self._tails = [_Tail([score.of(line) for line in known], score) for score in self._scores]

    def compute_rarity(self, line: Surprisal) -> float:
        """Returns minus the decimal logarithm of the probability that a known line is as unusual.

        For example, 3 for one line in 1,000. A line is unusual by its unexpected bits or its length; one that is
        scored alone, by its bits or its bits per word.
        """
        lowest = min(
            tail.compute_probability(score.of(line)) / score.share
            for tail, score in zip(self._tails, self._scores, strict=True)
        )
        return max(0.0, min(_MAX_RARITY, -math.log10(lowest))) if lowest > 0 else _MAX_RARITY


class _Tail:
    """Distribution of a score, whose tail is exponential (the method of peaks over threshold; Pickands, 1975)."""

    def __init__(self, values: Sequence[float], score: _Score) -> None:
        """Fits the distribution to a sample of the score."""
        self._values = sorted(values)
        self._start = self._values[int((1 - _TAIL) * len(values))]
        excesses = [value - self._start for value in self._values if value > self._start]
        total = sum(excesses) + score.prior_weight * score.min_excess
        self._mean_excess = max(total / max(len(excesses) + score.prior_weight, 1), score.min_excess)

    def compute_probability(self, value: float) -> float:
        """Returns the probability of a value at least as high."""
        if value <= self._start:
            return max(_TAIL, 1 - bisect_left(self._values, value) / len(self._values))
        return _TAIL * math.exp(-(value - self._start) / self._mean_excess)
