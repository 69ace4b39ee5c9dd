"""Parameters of tests: a part of all pairs in which each value occurs; the other pairs are ``slow``."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def in_turn(first: Iterable[Any], second: Sequence[Any], number: int = 1) -> list[Any]:
    """Returns all pairs; those of each value of the first with ``number`` of the second, in turn, are not ``slow``.

    Args:
        first: Values, or tuples of values of several parameters.
        second: Values of the last parameter.
        number: Number of values of the second for each of the first.
    """
    return [
        pytest.param(
            *(one if isinstance(one, tuple) else (one,)),
            other,
            marks=[] if (j - i) % len(second) < number else pytest.mark.slow,
        )
        for i, one in enumerate(first)
        for j, other in enumerate(second)
    ]
