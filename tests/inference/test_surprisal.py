"""The results of evaluations: units, and empty chunks."""

import math

import numpy as np
import pytest

from charloom import EvaluatedText, Evaluation, Surprisal, Surprisals
from charloom.inference.surprisal import ScoredChunks, perplexity_of


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
    """Scores that were not measured are NaN."""
    chunks = [
        Surprisal(1, "a<b>\n", 2, math.log(2), 1, 0.5),
        Surprisal(3, "\ud800", 1, 0.0, rarity=4.0, unexpected_bits=2.5),
    ]
    frame = Surprisals(chunks).to_frame()
    assert frame["number"].tolist() == [1, 3]
    assert frame["bits"].tolist() == [1.0, 0.0]
    assert frame["bits_per_char"].tolist() == [0.5, 0.0]
    assert frame["unexpected_bits"].fillna(-1).tolist() == [-1.0, 2.5]
    assert frame["rarity"].isna().tolist() == [True, False]
    assert frame["text"].tolist() == ["a<b>\n", "\ud800"]
    assert len(Surprisals().to_frame()) == 0


def test_an_evaluated_text_is_a_pair() -> None:
    evaluation, chunks = result = EvaluatedText(Evaluation(1, 1, 0.5), Surprisals())
    assert result == (evaluation, chunks) == (Evaluation(1, 1, 0.5), [])


def test_equal_chunks_have_equal_sums_wherever_they_are() -> None:
    """Chunks of all lengths, some of them without units, each three times and in any order."""
    generator = np.random.default_rng(0)
    values = [generator.exponential(2.0, length) for length in (*range(70), 127, 128, 129, 1000, 20_000)] * 3
    order = generator.permutation(len(values))
    units = ["x" * len(values[place]) for place in order]
    nats = np.concatenate([values[place] for place in order])
    evaluation = Evaluation(len(nats), len(nats), float(nats.sum()))
    scored = ScoredChunks(evaluation, units, units, list(map(len, units)), [0] * len(units), nats)
    found = dict(zip(order.tolist(), [chunk.nats for chunk in scored.get_surprisals()], strict=True))
    third = len(values) // 3
    for place in range(third):
        assert found[place] == found[place + third] == found[place + 2 * third]
        assert found[place] == pytest.approx(math.fsum(values[place]), rel=1e-12)
