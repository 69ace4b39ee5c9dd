"""Rarity: calibrated on known lines, monotone, finite."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import Surprisal
from charloom.inference.rarity import MIN_KNOWN_LINES, RarityScale


def _line(bits: float, num_chars: int = 10, per_word: float = 1.0) -> Surprisal:
    return Surprisal(1, "x" * num_chars, num_chars, bits * math.log(2), 0, per_word)


@pytest.mark.parametrize("mean", [6.0, 100.0])
def test_rarity_is_calibrated(mean: float) -> None:
    """A share of about 10^-r of the lines of the known kind has a rarity of r or more."""
    source = random.Random(1)

    def draw() -> Surprisal:
        return _line(source.expovariate(1 / mean), per_word=source.expovariate(1 / mean))

    scale = RarityScale([draw() for _ in range(500)])
    rarities = [scale.compute_rarity(draw()) for _ in range(20_000)]
    for rarity in (1.0, 2.0, 3.0):
        share = sum(found >= rarity for found in rarities) / len(rarities)
        assert 0.2 * 10**-rarity < share < 2 * 10**-rarity


_SCORES = st.floats(0, 1e4)


@given(
    known=st.lists(st.tuples(_SCORES, st.integers(1, 300), _SCORES), min_size=MIN_KNOWN_LINES, max_size=60),
    line=st.tuples(_SCORES, st.integers(1, 300), _SCORES),
    more=st.tuples(_SCORES, _SCORES),
)
def test_a_more_surprising_line_is_at_least_as_rare(
    known: list[tuple[float, int, float]], line: tuple[float, int, float], more: tuple[float, float]
) -> None:
    scale = RarityScale([_line(*scores) for scores in known])
    bits, num_chars, per_word = line
    rarity = scale.compute_rarity(_line(*line))
    assert 0.0 <= rarity <= 300.0
    assert scale.compute_rarity(_line(bits + more[0], num_chars, per_word + more[1])) >= rarity - 1e-9


def test_known_lines_that_are_all_equal() -> None:
    """A line that costs a bit more is not rare; one that costs a hundred bits more is."""
    for bits in (0.0, 0.5, 80.0):
        scale = RarityScale([_line(bits, 100, 0.0)] * MIN_KNOWN_LINES)
        assert scale.compute_rarity(_line(bits, 100, 0.0)) < 0.6
        assert scale.compute_rarity(_line(bits + 1, 100, 0.0)) < 1
        assert scale.compute_rarity(_line(bits + 100, 100, 0.0)) > 10


def test_one_unusual_score_suffices() -> None:
    source = random.Random(2)
    scale = RarityScale([_line(source.uniform(50, 60), 100, source.uniform(1, 2)) for _ in range(100)])
    assert scale.compute_rarity(_line(55, 100, 1.5)) < 1
    for unusual in (_line(300, 600, 1.5), _line(90, 100, 1.5), _line(55, 100, 12.0)):
        assert scale.compute_rarity(unusual) > 4


def test_a_line_is_not_rare_because_it_is_short() -> None:
    """Its bits per character are those of a line of the length that a tenth of the known lines do not reach."""
    source = random.Random(3)
    scale = RarityScale([_line(length := source.uniform(40, 60), round(length)) for _ in range(100)])
    assert scale.compute_rarity(_line(20, 1)) < 1
    assert scale.compute_rarity(_line(20, 10)) < 1
    assert scale.compute_rarity(_line(200, 100)) > 4
