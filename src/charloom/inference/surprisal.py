"""The surprisal of a text and of its parts: results of evaluations.

The surprisal of a character is minus the logarithm of the probability that a model assigns to it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


def perplexity_of(mean_nats: float) -> float:
    """Returns the perplexity, exp of a mean surprisal in nats; infinite from 700 nats on, and for NaN."""
    # math.exp raises OverflowError above 709.
    return math.exp(mean_nats) if mean_nats < 700 else math.inf


@dataclass(frozen=True)
class Evaluation:
    """The surprisal of a text under a model.

    Attributes:
        num_chars: Number of characters (bytes, for a byte model) of the normalized text that were scored: all except
            the first and those omitted.
        num_bytes: Length of these characters in UTF-8, in bytes; of those read as ``<unk>``, their own length.
        total_nats: Sum of their surprisals in nats.
        num_unknown: Number of scored tokens that are out of vocabulary and read as ``<unk>``.
    """

    num_chars: int
    num_bytes: int
    total_nats: float
    num_unknown: int = 0

    @property
    def nats_per_char(self) -> float:
        """Mean surprisal in nats: the cross-entropy."""
        return self.total_nats / self.num_chars

    @property
    def bits_per_char(self) -> float:
        """Mean surprisal in bits."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte of the scored text in UTF-8."""
        return self.total_nats / math.log(2) / self.num_bytes

    @property
    def perplexity(self) -> float:
        """exp(nats_per_char): 1 if all predictions are certain and correct, the vocabulary size if all are uniform."""
        return perplexity_of(self.nats_per_char)


@dataclass(frozen=True)
class Surprisal:
    r"""A chunk of a text and its surprisal.

    Attributes:
        number: Number of the chunk in the text, from 1.
        text: The chunk before normalization; bytes that are not UTF-8 as ``\xff``.
        num_chars: Number of its scored characters, counted as in ``Evaluation``; it may differ from ``len(text)``.
        nats: Sum of their surprisals in nats.
        num_unknown: Number of scored tokens that are out of vocabulary and read as ``<unk>``.
        bits_per_word: Mean surprisal in bits of the words without digits, from ``evaluate_lines``; 0 if there are none.
            Times, counters and addresses, which differ from line to line, have no effect on it.
        rarity: Minus the decimal logarithm of the probability that a line of the kind that the model knows is as
            surprising, from an adaptive ``evaluate_lines`` with a model folder: 4 for one line in 10,000. None if it
            was not measured.
    """

    number: int
    text: str
    num_chars: int
    nats: float
    num_unknown: int = 0
    bits_per_word: float = 0.0
    rarity: float | None = None

    @property
    def bits(self) -> float:
        """Sum of the scored tokens' surprisals in bits."""
        return self.nats / math.log(2)

    @property
    def bits_per_char(self) -> float:
        """Mean surprisal in bits; 0 if nothing was scored."""
        return self.bits / self.num_chars if self.num_chars else 0.0


Progress: TypeAlias = Callable[[int, int], None]
"""A callback for the number of tokens that have been scored and the number of all tokens to score."""
