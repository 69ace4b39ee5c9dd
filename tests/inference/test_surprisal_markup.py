"""Evaluations in a notebook: figures, text shaded by surprisal, and a table of chosen lines."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import (
    EvaluatedText,
    Evaluation,
    LanguageModel,
    ModelSettings,
    Surprisal,
    Surprisals,
    build_model,
    corpus_from,
    evaluate,
    evaluate_chunks,
    evaluate_lines,
    split_chars,
)
from html_fragments import cells_of, parse, show, text_of

_CHUNKS = st.builds(
    Surprisal,
    number=st.integers(1, 99),
    text=st.text(st.characters()),
    num_chars=st.integers(0, 99),
    nats=st.floats(),
    num_unknown=st.integers(0, 9),
    bits_per_word=st.floats(),
    rarity=st.none() | st.floats(),
)


@pytest.fixture
def model(text: str) -> LanguageModel:
    """Returns a model without training."""
    return build_model(corpus_from(text, name="made").vocabulary, ModelSettings("gru", hidden_size=8, init_sigma=0.5))


@given(chunks=st.lists(_CHUNKS, max_size=4), nats=st.floats())
def test_any_result_is_shown(chunks: list[Surprisal], nats: float) -> None:
    show(EvaluatedText(Evaluation(3, 4, nats), Surprisals(chunks)))
    show(Surprisals(chunks))


def test_characters_are_shaded(model: LanguageModel, text: str) -> None:
    """The strength of a shade grows with the surprisal; the first character is not scored."""
    evaluated = evaluate_chunks(model, split_chars(text[:200]))
    html = show(evaluated)
    assert ["characters", "199"] in cells_of(html)
    assert text_of(html).endswith(text[:200])
    spans = list(parse(html).iter("span"))
    assert len(spans) == 200
    assert spans[0].attrib["title"] == "not scored"
    shades = [float(span.attrib["style"].split(",")[-1].rstrip(")")) for span in spans]
    bits = [one.bits for one in evaluated.surprisals]
    assert shades == [round(min(value / 10, 1) * 0.6, 2) for value in bits]
    assert spans[7].attrib["title"] == f"8: {bits[7]:.2f} bits"
    assert cells_of(show(evaluate(model, text[:200]))) == cells_of(html)


def test_chosen_lines_are_a_table(model: LanguageModel, text: str) -> None:
    lines = evaluate_lines(model, text + "\u2603 <&>\n" + text, sort="bits", top=4).surprisals
    headings, *rows = cells_of(show(lines))
    assert headings == ["number", "bits", "per character", "per word", "text"]
    assert [row[0] for row in rows] == [str(line.number) for line in lines]
    assert [row[-1] for row in rows] == [line.text.rstrip("\n") for line in lines]
    with_rarity = Surprisals([Surprisal(9, "a\n", 2, 1.0, rarity=4.25), Surprisal(3, "b\n", 2, 1.0, 1, rarity=0.5)])
    html = show(with_rarity)
    assert cells_of(html)[1][:3] == ["9", "4.25", "1.443"]
    assert "3: 1.44 bits, 0.72 per character, 1 unknown character, rarity 0.5" in html


def test_lines_in_order_are_text(model: LanguageModel, text: str) -> None:
    html = show(evaluate_lines(model, text))
    assert text_of(html).endswith(text)
    assert len(list(parse(html).iter("span"))) == text.count("\n")
    assert "no text" in show(Surprisals())


def test_a_long_text_is_cut() -> None:
    html = show(Surprisals(Surprisal(number, "ab", 2, 1.0) for number in range(1, 100_001)))
    assert text_of(html).endswith("the first 5,000 of 100,000 chunks")
    assert len(html) < 600_000
    rows = cells_of(show(Surprisals(Surprisal(-number, "ab", 2, math.nan) for number in range(1_000))))
    assert len(rows) == 51


def test_unknown_characters_are_counted() -> None:
    result: Any = Evaluation(3, 4, 1.0, num_unknown=2)
    assert ["read as <unk>", "2"] in cells_of(show(result))
