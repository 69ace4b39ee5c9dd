"""Rarity: calibrated on known lines, monotone, finite."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import Surprisal
from charloom.inference.rarity import MIN_KNOWN_LINES, RarityScale


def _line(bits: float, per_word: float = 1.0, unexpected: float = 0.0) -> Surprisal:
    return Surprisal(1, "x" * 10, 10, bits * math.log(2), bits_per_word=per_word, unexpected_bits=unexpected)


@pytest.mark.parametrize("mean", [6.0, 100.0])
def test_rarity_is_calibrated(mean: float) -> None:
    """A share of about 10^-r of the lines of the known kind has a rarity of r or more."""
    source = random.Random(1)

    def draw() -> Surprisal:
        return _line(*(source.expovariate(1 / mean) for _ in range(3)))

    scale = RarityScale([draw() for _ in range(500)])
    rarities = [scale.compute_rarity(draw()) for _ in range(20_000)]
    for rarity in (1.0, 2.0, 3.0):
        share = sum(found >= rarity for found in rarities) / len(rarities)
        assert 0.2 * 10**-rarity < share < 2 * 10**-rarity


_SCORES = st.tuples(*[st.floats(0, 1e4)] * 3)


@given(known=st.lists(_SCORES, min_size=MIN_KNOWN_LINES, max_size=60), line=_SCORES, more=_SCORES)
def test_a_more_surprising_line_is_at_least_as_rare(
    known: list[tuple[float, ...]], line: tuple[float, ...], more: tuple[float, ...]
) -> None:
    scale = RarityScale([_line(*scores) for scores in known])
    rarity = scale.compute_rarity(_line(*line))
    assert 0.0 <= rarity <= 300.0
    assert scale.compute_rarity(_line(*map(sum, zip(line, more, strict=True)))) >= rarity - 1e-9


def test_known_lines_that_are_all_equal() -> None:
    """A line that costs a bit more is not rare; one that costs a hundred bits more is."""
    for bits in (0.0, 0.5, 80.0):
        scale = RarityScale([_line(bits)] * MIN_KNOWN_LINES)
        assert scale.compute_rarity(_line(bits)) < 0.6
        assert scale.compute_rarity(_line(bits + 1)) < 1
        assert scale.compute_rarity(_line(bits + 100)) > 10


def test_one_unusual_score_suffices() -> None:
    source = random.Random(2)
    scale = RarityScale([_line(source.uniform(50, 90), source.uniform(1, 2), source.uniform(0, 3)) for _ in range(100)])
    assert scale.compute_rarity(_line(70, 1.5, 1.5)) < 1
    for unusual in (_line(300, 1.5, 1.5), _line(70, 12.0, 1.5), _line(70, 1.5, 20.0)):
        assert scale.compute_rarity(unusual) > 4


def test_values_do_not_hide_a_character() -> None:
    """Bits that vary from line to line by more than a character takes."""
    source = random.Random(3)
    scale = RarityScale([_line(source.uniform(50, 250)) for _ in range(100)])
    assert scale.compute_rarity(_line(150)) < 1
    assert scale.compute_rarity(_line(170, unexpected=14.0)) > 4
