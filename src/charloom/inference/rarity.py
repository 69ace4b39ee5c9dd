"""Rarity of lines: how seldom a line of the text that a model knows is as surprising.

Other scores depend on the log: a line of 300 bits is common in one and alarming in another. Rarity is comparable. It is
measured on lines that were held out from training, with the codec's mixture as it is before it reads them.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypeAlias

from charloom.inference.surprisal import Surprisal

_Scores: TypeAlias = tuple[tuple[Callable[[Surprisal], float], float], ...]
"""Scores, each with the minimum mean excess of its tail in bits: in a log of nearly equal lines, a few bits more are no
news. If the probabilities of characters are correct, their bits beyond any number have a mean of log2(e)."""
_SCORES_OF_TEXT: _Scores = ((lambda line: line.unexpected_bits or 0.0, math.log2(math.e)),)
"""Score of lines that are read one after the other: new messages have unlikely characters, and so have ordinary ones
with a single change. The bits of a line do not show a change among its ids, addresses and numbers, and are high in each
of many new messages, for example while a system starts."""
_SCORES_ALONE: _Scores = ((lambda line: line.bits, 2.0), (lambda line: line.bits_per_word, 0.5))
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
        self._tails = [_Tail([score(line) for line in known], min_excess) for score, min_excess in self._scores]

    def compute_rarity(self, line: Surprisal) -> float:
        """Returns minus the decimal logarithm of the probability that a known line is as surprising.

        For example, 4 for one line in 10,000. The probability is that of the unexpected bits; of a line that is scored
        alone, that of its bits or of its bits per word, whichever is lower.
        """
        lowest = min(
            tail.compute_probability(score(line)) for tail, (score, _) in zip(self._tails, self._scores, strict=True)
        )
        # That one of two is as unusual is up to twice as probable.
        return max(0.0, min(_MAX_RARITY, -math.log10(len(self._scores) * lowest)) if lowest > 0 else _MAX_RARITY)


class _Tail:
    """Distribution of a score, whose tail is exponential (the method of peaks over threshold; Pickands, 1975)."""

    def __init__(self, values: Sequence[float], min_excess: float) -> None:
        """Fits the distribution to a sample; ``min_excess`` is the minimum mean excess of the tail."""
        self._values = sorted(values)
        self._start = self._values[int((1 - _TAIL) * len(values))]
        excesses = [value - self._start for value in self._values if value > self._start]
        self._mean_excess = max(sum(excesses) / len(excesses) if excesses else 0.0, min_excess)

    def compute_probability(self, value: float) -> float:
        """Returns the probability of a value at least as high."""
        if value <= self._start:
            return max(_TAIL, 1 - bisect_left(self._values, value) / len(self._values))
        return _TAIL * math.exp(-(value - self._start) / self._mean_excess)
