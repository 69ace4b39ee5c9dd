"""The results of evaluations: units, and empty chunks."""

import math

import pytest

from charloom import EvaluatedText, Evaluation, Surprisal, Surprisals
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


def test_a_part_of_the_chunks_is_of_their_class() -> None:
    chunks = Surprisals(Surprisal(number, "a", 1, 0.5) for number in range(1, 6))
    assert isinstance(chunks[:2], Surprisals)
    assert chunks[1:3] == list(chunks)[1:3]
    assert chunks[-1].number == 5


def test_a_frame_has_a_row_for_each_chunk() -> None:
    """A rarity that was not measured is NaN."""
    chunks = [
        Surprisal(1, "a<b>\n", 2, math.log(2), 1, 0.5),
        Surprisal(3, "\ud800", 1, 0.0, rarity=4.0, unexpected_bits=2.5),
    ]
    frame = Surprisals(chunks).to_frame()
    assert frame["number"].tolist() == [1, 3]
    assert frame["bits"].tolist() == [1.0, 0.0]
    assert frame["bits_per_char"].tolist() == [0.5, 0.0]
    assert frame["unexpected_bits"].tolist() == [0.0, 2.5]
    assert frame["rarity"].isna().tolist() == [True, False]
    assert frame["text"].tolist() == ["a<b>\n", "\ud800"]
    assert len(Surprisals().to_frame()) == 0


def test_an_evaluated_text_is_a_pair() -> None:
    evaluation, chunks = result = EvaluatedText(Evaluation(1, 1, 0.5), Surprisals())
    assert result == (evaluation, chunks) == (Evaluation(1, 1, 0.5), [])
