"""The results of evaluations: units, and empty chunks."""

import math

import pytest

from charloom import Evaluation, Surprisal
from charloom.inference.surprisal import perplexity_of


def test_units_of_an_evaluation() -> None:
    result = Evaluation(num_chars=4, num_bytes=8, total_nats=4 * math.log(2))
    assert result.nats_per_char == pytest.approx(math.log(2))
    assert result.bits_per_char == pytest.approx(1.0)
    assert result.bits_per_byte == pytest.approx(0.5)
    assert result.perplexity == pytest.approx(2.0)


def test_a_chunk_without_scored_characters_has_no_bits() -> None:
    assert Surprisal(1, "a", 0, 0.0).bits_per_char == 0.0
    assert Surprisal(1, "ab", 2, 2 * math.log(2)).bits_per_char == pytest.approx(1.0)


def test_a_perplexity_beyond_the_largest_number_is_infinite() -> None:
    assert perplexity_of(1.0) == pytest.approx(math.e)
    assert perplexity_of(1e6) == math.inf
    assert perplexity_of(math.nan) == math.inf
