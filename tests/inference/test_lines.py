"""The surprisal of lines and of their words."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import Codec, LanguageModel, RecordCodec, SettingsError, evaluate, evaluate_chunks, evaluate_lines
from charloom.settings.corpus import LineOrder
from charloom_codec.engines.native import choose_instruction_set
from examples import examples
from fakes import cyclic_predictor

_LINE = "the quick brown fox jumps over the lazy dog\n"
"""The line that ``char_model`` memorized."""


@settings(max_examples=examples(20), deadline=None)
@given(text=st.text("the fox19\t\n\r\u2028é", min_size=2, max_size=60))
@pytest.mark.parametrize("as_bytes", [True, False])
def test_lines_sum_their_words(as_bytes: bool, text: str, char_model: Path, byte_model: Path) -> None:
    """Against each line and each word evaluated as a chunk."""
    model = LanguageModel.load(byte_model if as_bytes else char_model)
    evaluation, lines = evaluate_lines(model, text)
    assert evaluation == evaluate(model, text, unknown="unk")
    assert "".join(line.text for line in lines) == text
    at = 0
    for line in lines:
        end = at + len(line.text)
        _, (_, of_line, _) = evaluate_chunks(model, [text[:at], text[at:end], text[end:]], unknown="unk")
        assert line.nats == pytest.approx(of_line.nats, abs=1e-9)
        assert (line.num_chars, line.num_unknown) == (of_line.num_chars, of_line.num_unknown)
        # Splitting bytes at ASCII whitespace only leaves a line separator, which is not ASCII, within a word.
        words = text[at:end].split() if not as_bytes else [w.decode() for w in text[at:end].encode().split()]
        bits, start = [], at
        for word in words:
            start = text.index(word, start)
            if not set(word) & set("0123456789"):
                _, parts = evaluate_chunks(model, [text[:start], word, text[start + len(word) :]], unknown="unk")
                bits.append(parts[1].bits)
            start += len(word)
        assert line.bits_per_word == pytest.approx(sum(bits) / len(bits) if bits else 0.0, abs=1e-9)
        assert line.unexpected_bits is None
        at = end


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
@pytest.mark.parametrize("sort", ["bits", "bits-per-char", "bits-per-word"])
def test_equal_lines_that_are_scored_alone_are_in_the_order_of_the_text(sort: LineOrder, char_model: Path) -> None:
    """Their scores are equal to the last digit."""
    others = [f"{number} oxen {'jump ' * (number % 7)}\n" for number in range(200)]
    new = ["the slow brown hen\n", "a lazy fox sleeps over 12 dogs\n"]
    text = "".join(line + new[number % 2] for number, line in enumerate(others))
    _, lines = evaluate_lines(char_model, text, independent=True, sort=sort)
    for one in new:
        same = [line for line in lines if line.text == one]
        assert len({(line.bits, line.bits_per_word, line.unexpected_bits) for line in same}) == 1
        assert [line.number for line in same] == sorted(line.number for line in same)


def test_order_by_words(char_model: Path) -> None:
    """Numbers may be as surprising as they like."""
    model = LanguageModel.load(char_model)
    numbers = _LINE.replace("quick", "8437 x9 1234-5678")
    text = _LINE * 3 + numbers + _LINE + _LINE.replace("lazy", "oxen") + _LINE
    _, by_bits = evaluate_lines(model, text, sort="bits")
    _, by_words = evaluate_lines(model, text, sort="bits-per-word", top=3)
    assert by_bits[0].number == 4
    assert by_words[0].number == 6
    assert len(by_words) == 3
    assert [line.bits_per_word for line in by_words] == sorted((line.bits_per_word for line in by_bits), reverse=True)[
        :3
    ]


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
@pytest.mark.parametrize("independent", [False, True])
def test_unexpected_bits(independent: bool, log_model: Path) -> None:
    """Those of each byte beyond 2 more than expected, as squares, by the codec that the mode scores with."""
    data = (_LINE * 2 + "the quick brow\u00f6n OX\n\n" + _LINE).encode() + b"\xff THE LAZY DOG"
    _, lines = evaluate_lines(log_model, data, adaptive=not independent, independent=independent)
    records = [line.removesuffix(b"\n") for line in data.splitlines(keepends=True)]
    costs = RecordCodec(log_model).measure_batch(records) if independent else [Codec(log_model).measure(data)]
    bits, expected = np.concatenate(costs, axis=1)
    ends = np.cumsum([0, *(len(line.text.encode()) for line in lines[:-1]), 14])
    for line, start, end in zip(lines, ends[:-1], ends[1:], strict=True):
        excess = bits[start:end] - expected[start:end]
        assert line.unexpected_bits == pytest.approx(np.linalg.norm(excess[excess > 2] - 2), rel=1e-4)
    assert (lines[2].unexpected_bits or 0) > 10


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
def test_random_values_are_expected(log_model: Path) -> None:
    """They have many bits, but only another character, or none, in their place is unexpected."""
    source = random.Random(4)
    text = "".join(f"request {source.getrandbits(64):016x} ok\n" for _ in range(80))
    odd = "request 5c90e!1a66f0b3d7 ok\nrequest  ok\n"
    _, lines = evaluate_lines(log_model, text + odd, adaptive=True)
    values = lines[60:80]
    assert min(line.bits for line in values) > 50
    assert np.mean([line.unexpected_bits or 0 for line in values]) < 5
    assert min(line.unexpected_bits or 0 for line in lines[80:]) > 6


def test_lines_without_words() -> None:
    _, lines = evaluate_lines(cyclic_predictor(), "abc\n1 2\n\nab\n", unknown="skip")
    assert [line.text for line in lines] == ["abc\n", "1 2\n", "\n", "ab\n"]
    assert [line.bits_per_word for line in lines[1:3]] == [0.0, 0.0]
    # The first character is not scored, and each of the next two has the probability 0.9.
    assert lines[0].bits_per_word == pytest.approx(-2 * math.log2(0.9))


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
def test_order_by_words_of_an_adaptive_evaluation(char_model: Path) -> None:
    new = "the slow brown hen jumps over the lazy dog\n"
    _, lines = evaluate_lines(char_model, _LINE * 3 + new + _LINE + new, adaptive=True, sort="bits-per-word")
    assert lines[0].number == 4
    assert lines[1].bits_per_word < lines[0].bits_per_word / 3


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
def test_rarity_of_lines(log_model: Path) -> None:
    new = "THE QUICK BROWN FOX SLEEPS\n"
    text = _LINE * 3 + new + _LINE * 2 + new
    _, lines = evaluate_lines(log_model, text, adaptive=True, sort="rarity")
    rarities = [line.rarity for line in lines]
    assert lines[0].number == 4
    assert rarities == sorted((rarity or 0.0 for rarity in rarities), reverse=True)
    assert (rarities[0] or 0) > 6
    assert max(rarity or 0 for line, rarity in zip(lines, rarities, strict=True) if line.text == _LINE) < 2
    assert evaluate_lines(log_model, text, adaptive=True, top=1)[1] == lines[:1]
    _, with_blank = evaluate_lines(log_model, text + "\n", adaptive=True, sort="rarity")
    assert with_blank[0].number == 4
    _, as_bytes = evaluate_lines(log_model, text.encode(), adaptive=True, sort="rarity")
    assert [line.rarity for line in as_bytes] == rarities


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
def test_rarity_of_lines_alone(log_model: Path) -> None:
    """All occurrences have the same rarity, on a scale of held-out lines that were scored alone, too."""
    new = "THE QUICK BROWN FOX SLEEPS\n"
    text = _LINE * 3 + new + _LINE * 2 + new
    _, lines = evaluate_lines(log_model, text, independent=True, top=7)
    assert {line.number for line in lines[:2]} == {4, 7}
    assert lines[0].rarity == pytest.approx(lines[1].rarity)
    assert (lines[0].rarity or 0) > 6
    assert max(line.rarity or 0 for line in lines[2:]) < 2


@pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")
def test_rarity_needs_lines_that_the_model_knows(char_model: Path) -> None:
    """Nothing of the priming text of ``char_model`` was held out."""
    model = LanguageModel.load(char_model)
    for predictor, adaptive in ((model, True), (model, False), (char_model, True)):
        with pytest.raises(SettingsError, match="rarity needs"):
            evaluate_lines(predictor, _LINE, adaptive=adaptive, sort="rarity")
    assert evaluate_lines(char_model, _LINE, adaptive=True, top=1)[1][0].rarity is None
