"""The measures of the page on sampling, on texts with known values."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from charloom import LanguageModel, ModelSettings, Vocabulary, build_model, evaluate
from experiments.text_measures import (
    Loop,
    distinct,
    find_loop,
    known_words,
    mean_and_spread,
    nats,
    next_probabilities,
    repeated,
)


def test_distinct_and_repeated_shares() -> None:
    # The pairs are a b, b a, a b: two of three are distinct, and one occurred before.
    assert distinct(["a b a b"], 2) == 2 / 3
    assert repeated(["a b a b"], 2) == pytest.approx(1 / 3)
    # The second text shares a pair with the first, but repeats none of its own.
    assert distinct(["a b c", "a b d"], 2) == 3 / 4
    assert repeated(["a b c", "a b d"], 2) == 0
    assert distinct([""], 2) == 0
    assert repeated(["a"], 4) == 1


def test_known_words_ignores_last_word_of_text() -> None:
    assert known_words(["the cat satt th"], "the cat sat") == pytest.approx(2 / 3)


@given(start=st.text("abc", max_size=20), unit=st.text("abcd ", min_size=1, max_size=8), rounds=st.integers(12, 20))
def test_find_loop_returns_period_and_start(start: str, unit: str, rounds: int) -> None:
    """The start may be earlier than the first repetition, if the text before it happens to match."""
    text = start + unit * rounds
    loop = find_loop(text)
    assert loop is not None
    assert len(unit) % loop.period == 0
    assert loop.start <= len(start)
    assert all(text[at] == text[at + loop.period] for at in range(loop.start, len(text) - loop.period))
    assert loop.start == 0 or text[loop.start - 1] != text[loop.start - 1 + loop.period]


def test_find_loop_returns_none_without_loop() -> None:
    assert find_loop("") is None
    assert find_loop("the time traveller smiled, and did nothing at all") is None
    assert find_loop("and so on and so on") is None  # fewer than three repetitions
    assert find_loop("wait ...") is None
    assert find_loop("It was" + " so" * 5) == Loop(6, 3)


def test_nats_equals_evaluate() -> None:
    """Also for a batch of texts with two consecutive spaces, which are not collapsed."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.of_text("abc ")
    model: LanguageModel = build_model(vocabulary, ModelSettings("gru", hidden_size=8, init_sigma=0.5))
    texts = ["ab  ca", "cc  ba"]
    found = nats(model, texts)
    assert found.shape == (2, 5)
    for row, text in zip(found, texts, strict=True):
        assert float(row.sum()) == pytest.approx(evaluate(model, text).total_nats, rel=1e-5)
        probabilities = next_probabilities(model, text)
        assert probabilities.shape == (5, len(vocabulary))
        assert probabilities.sum(-1).allclose(torch.ones(5))
        characters = "".join(str(token) for token in vocabulary.tokens[1:])
        chosen = probabilities[range(5), [1 + characters.index(character) for character in text[1:]]]
        assert torch.allclose(-chosen.log(), row, rtol=1e-4)


def test_mean_and_spread_formats_table_cells() -> None:
    assert mean_and_spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert mean_and_spread([1.0], 2) == "1.00"
