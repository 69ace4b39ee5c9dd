"""Words of a line, and their surprisal.

Times, counters, addresses and ids contain digits: they differ from line to line, which is no news. The words without
digits are the message of a line.
"""

import re

import numpy as np
from numpy.typing import NDArray

_WORDS, _BYTE_WORDS = re.compile(r"\S+"), re.compile(rb"\S+")
_PLAIN_WORDS, _PLAIN_BYTE_WORDS = re.compile(r"(?<!\S)[^\s\d]+(?!\S)"), re.compile(rb"(?<!\S)[^\s\d]+(?!\S)")


def find_words(line: str | bytes, *, without_digits: bool = False) -> list[tuple[int, int]]:
    """Returns the start and the end of each word, or of each word without digits."""
    if isinstance(line, bytes):
        return [word.span() for word in (_PLAIN_BYTE_WORDS if without_digits else _BYTE_WORDS).finditer(line)]
    return [word.span() for word in (_PLAIN_WORDS if without_digits else _WORDS).finditer(line)]


def mean_bits_per_word(line: str | bytes, unit_bits: NDArray[np.floating]) -> float:
    """Returns the mean bits of the words without digits; 0 if there is none.

    Args:
        line: The line.
        unit_bits: Bits of each unit of the line.
    """
    words = find_words(line, without_digits=True)
    if not words:
        return 0.0
    # Sums of this line only: lines with the same text and the same bits have the same result.
    running: list[float] = [0.0, *np.cumsum(unit_bits, dtype=np.float64).tolist()]
    return sum(running[end] - running[start] for start, end in words) / len(words)
