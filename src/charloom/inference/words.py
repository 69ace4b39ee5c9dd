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


def mean_bits_per_word(line: str | bytes, running_bits: NDArray[np.float64]) -> float:
    """Returns the mean bits of the words without digits; 0 if there is none.

    Args:
        line: The line.
        running_bits: Sums of the bits of all units before each position of the line, and before its end; or such sums
            plus a constant.
    """
    words = find_words(line, without_digits=True)
    return sum(float(running_bits[end] - running_bits[start]) for start, end in words) / len(words) if words else 0.0
