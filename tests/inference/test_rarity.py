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
@pytest.mark.parametrize("independent", [False, True])
def test_rarity_is_calibrated(independent: bool, mean: float) -> None:
    """A share of about 10^-r of the lines of the known kind has a rarity of r or more."""
    source = random.Random(1)

    def draw() -> Surprisal:
        return _line(*(source.expovariate(1 / mean) for _ in range(3)))

    scale = RarityScale([draw() for _ in range(2000)], independent=independent)
    rarities = [scale.compute_rarity(draw()) for _ in range(20_000)]
    for rarity in (1.0, 2.0, 3.0):
        share = sum(found >= rarity for found in rarities) / len(rarities)
        assert 0.2 * 10**-rarity < share < 3 * 10**-rarity


_SCORES = st.tuples(*[st.floats(0, 1e4)] * 3)


@given(
    known=st.lists(_SCORES, min_size=MIN_KNOWN_LINES, max_size=60),
    line=_SCORES,
    more=_SCORES,
    independent=st.booleans(),
)
def test_a_more_surprising_line_is_at_least_as_rare(
    known: list[tuple[float, ...]], line: tuple[float, ...], more: tuple[float, ...], independent: bool
) -> None:
    scale = RarityScale([_line(*scores) for scores in known], independent=independent)
    rarity = scale.compute_rarity(_line(*line))
    assert 0.0 <= rarity <= 300.0
    assert scale.compute_rarity(_line(*map(sum, zip(line, more, strict=True)))) >= rarity - 1e-9


@pytest.mark.parametrize("independent", [False, True])
def test_known_lines_that_are_all_equal(independent: bool) -> None:
    """A line that costs a bit more is not rare; one that costs a hundred bits more is."""
    for bits in (0.0, 0.5, 80.0):
        scale = RarityScale([_line(bits, 1.0, bits)] * MIN_KNOWN_LINES, independent=independent)
        assert scale.compute_rarity(_line(bits, 1.0, bits)) < 0.7
        assert scale.compute_rarity(_line(bits + 1, 1.0, bits + 1)) < 1.5
        assert scale.compute_rarity(_line(bits + 100, 1.0, bits + 100)) > 10


def test_one_unusual_score_suffices_for_a_line_alone() -> None:
    source = random.Random(2)
    known = [_line(source.uniform(50, 90), source.uniform(1, 2)) for _ in range(100)]
    scale = RarityScale(known, independent=True)
    assert scale.compute_rarity(_line(70, 1.5)) < 1
    for unusual in (_line(300, 1.5), _line(70, 12.0)):
        assert scale.compute_rarity(unusual) > 4


def test_values_do_not_hide_a_character() -> None:
    """Bits that vary from line to line by more than a character takes."""
    source = random.Random(3)
    scale = RarityScale([_line(source.uniform(50, 250)) for _ in range(100)])
    assert scale.compute_rarity(_line(150)) < 1
    assert scale.compute_rarity(_line(170, unexpected=14.0)) > 4
    assert scale.compute_rarity(_line(400)) < 1


def test_a_line_that_is_many_times_longer_is_rare() -> None:
    """Its characters may be as likely as they like."""
    source = random.Random(4)

    def line(length: int) -> Surprisal:
        return Surprisal(1, "x" * length, length, length / 10, unexpected_bits=source.expovariate(1))

    scale = RarityScale([line(source.randrange(60, 140)) for _ in range(100)])
    assert [scale.compute_rarity(line(length)) > 4 for length in (0, 100, 150, 2000, 100_000)] == [False] * 3 + [
        True
    ] * 2
