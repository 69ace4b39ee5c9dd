import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from charloom import (
    CleanUp,
    CorpusError,
    InputError,
    LanguageModel,
    ModelSettings,
    SettingsError,
    UnknownCharacterError,
    Vocabulary,
    build_model,
    evaluate,
    evaluate_chunks,
    evaluate_lines,
    split_chars,
    split_lines,
)
from charloom.inference.evaluation import sum_nats_in_parts
from examples import examples
from fakes import MarkovPredictor, cyclic_predictor

_LETTERS = Vocabulary(["a", "b", "\n", " ", "é", "漢"], clean_up=CleanUp(collapse_whitespace=False))


def _model(clean_up: CleanUp | None = None) -> LanguageModel:
    vocabulary = Vocabulary(["a", "b", "\n", " ", "é", "漢"], clean_up=clean_up)
    return build_model(vocabulary, ModelSettings(cell="gru", hidden_size=6, init_sigma=0.7), seed=1)


def test_known_probabilities() -> None:
    """Three steps of 0.9 and one of 0.05."""
    result = evaluate(cyclic_predictor(), "abcaa")
    nats = -3 * math.log(0.9) - math.log(0.05)
    assert (result.num_chars, result.num_bytes) == (4, 4)
    assert result.total_nats == pytest.approx(nats, rel=1e-6)
    assert result.nats_per_char == pytest.approx(nats / 4, rel=1e-6)
    assert result.bits_per_char == pytest.approx(nats / 4 / math.log(2), rel=1e-6)
    assert result.bits_per_byte == pytest.approx(result.bits_per_char, rel=1e-12)
    assert result.perplexity == pytest.approx(math.exp(nats / 4), rel=1e-6)


def test_equals_the_mean_loss_of_one_pass(text: str) -> None:
    """Chunks have no effect: the state is carried."""
    long = text * 2
    assert len(long) > 2 * 2048
    vocabulary = Vocabulary.of_text(long)
    model = build_model(vocabulary, ModelSettings(cell="lstm", hidden_size=8, init_sigma=0.3))
    ids = vocabulary.encode(long)
    with torch.no_grad():
        loss, _ = model.loss(ids[None, :-1], ids[None, 1:])
    assert evaluate(model, long).nats_per_char == pytest.approx(loss.item(), rel=1e-5)


def test_bits_per_byte_counts_utf8() -> None:
    result = evaluate(_model(), "aé漢b")
    assert (result.num_chars, result.num_bytes) == (3, 6)
    assert result.bits_per_byte == pytest.approx(result.bits_per_char / 2)


@settings(max_examples=examples(20))
@given(
    text=st.text("abéA漢 \n\t\r\u2028", min_size=2, max_size=60),
    lowercase=st.booleans(),
    collapse=st.booleans(),
    unknown=st.sampled_from(["unk", "skip"]),
    split=st.sampled_from([split_lines, split_chars]),
)
def test_surprisals_of_parts_sum_to_the_whole(
    text: str, lowercase: bool, collapse: bool, unknown: Any, split: Any
) -> None:
    model = _model(CleanUp(lowercase, collapse))
    parts = split(text)
    assert "".join(parts) == text
    try:
        whole = evaluate(model, text, unknown=unknown)
    except CorpusError:
        return
    result, surprisals = evaluate_chunks(model, parts, unknown=unknown)
    assert result == whole
    assert len(surprisals) == len(parts)
    assert sum(part.num_chars for part in surprisals) == whole.num_chars
    assert sum(part.nats for part in surprisals) == pytest.approx(whole.total_nats, rel=1e-9)
    assert [part.number for part in surprisals] == list(range(1, len(parts) + 1))


def test_by_line() -> None:
    """A line's surprisal is that of its characters and its line end, within one pass."""
    model = _model()
    text = "ab ab\nba\n\nabé"
    _, chars = evaluate_chunks(model, split_chars(text))
    _, lines = evaluate_chunks(model, split_lines(text))
    assert [line.text for line in lines] == ["ab ab\n", "ba\n", "\n", "abé"]
    assert [line.num_chars for line in lines] == [5, 3, 1, 3]
    expected = [sum(char.nats for char in chars[start:end]) for start, end in ((0, 6), (6, 9), (9, 10), (10, 13))]
    assert [line.nats for line in lines] == pytest.approx(expected, rel=1e-9)
    assert (chars[0].num_chars, chars[0].nats, chars[0].bits_per_char) == (0, 0.0, 0.0)
    assert lines[1].bits == pytest.approx(lines[1].nats / math.log(2))
    assert lines[1].bits_per_char == pytest.approx(lines[1].bits / 3)


def test_an_unusual_line_has_the_highest_surprisal() -> None:
    lines = ["abcabc"] * 20 + ["acbacb"] + ["abcabc"] * 5
    model = cyclic_predictor()
    model = MarkovPredictor(Vocabulary(["a", "b", "c"]), model.log_transitions.exp())
    _, surprisals = evaluate_chunks(model, lines)
    assert max(surprisals, key=lambda line: line.bits_per_char).number == 21


def test_many_parts_take_no_more_operations_than_one() -> None:
    """Sums of parts come from cumulative sums: no PyTorch operation for each."""

    class Count(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's
        number: int = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.number += 1
            return func(*args, **(kwargs or {}))

    def operations(parts: list[str]) -> int:
        count = Count()  # type: ignore[no-untyped-call] # torch's
        with count:
            evaluate_chunks(cyclic_predictor(), parts)
        return count.number

    assert operations(split_chars("abc" * 500)) <= operations(["abc" * 500]) + 10


def test_bytes_are_shown_escaped() -> None:
    model = build_model(Vocabulary(), ModelSettings(hidden_size=4))
    _, chars = evaluate_chunks(model, split_chars(b"a\xff\n"))
    assert [char.text for char in chars] == ["a", "\\xff", "\n"]
    result, lines = evaluate_chunks(model, split_lines("é\nb"))
    assert [line.text for line in lines] == ["é\n", "b"]
    assert (result.num_chars, result.num_bytes) == (3, 3)


def test_unknown_characters() -> None:
    model = cyclic_predictor()
    with pytest.raises(UnknownCharacterError, match=r"'x' \(position 1\)"):
        evaluate(model, "axbc")
    assert evaluate(model, "axbc", unknown="skip") == evaluate(model, "abc")
    with pytest.raises(InputError, match="not finite"):  # this model gives <unk> no probability
        evaluate_lines(model, "ab\nc\nXa", sort="bits")


@pytest.mark.parametrize("text", ["", "a", "xxxx"])
def test_too_short(text: str) -> None:
    with pytest.raises(CorpusError, match="too short"):
        evaluate(cyclic_predictor(), text, unknown="skip")


def test_progress_ends_at_the_end() -> None:
    calls: list[tuple[int, int]] = []
    evaluate(cyclic_predictor(), "abc" * 2000, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 1
    assert calls[-1] == (5999, 5999)
    assert calls == sorted(calls)


def test_parts_score_each_target_once() -> None:
    """For a model without memory, parts and one pass differ only between parts."""
    model = cyclic_predictor()
    ids = model.vocabulary.encode("abcaabcbab" * 30 + "a")
    nats, count = sum_nats_in_parts(model, ids, 1)
    assert count == len(ids) - 1
    assert nats / count == pytest.approx(evaluate(model, "abcaabcbab" * 30 + "a").nats_per_char)
    found = [sum_nats_in_parts(model, ids, 5, parts) for parts in (slice(0, 2), slice(2, 2), slice(2, 5))]
    assert [sum(part) for part in zip(*found, strict=True)] == pytest.approx([nats, count])


def test_dropout_is_off() -> None:
    model = build_model(_LETTERS, ModelSettings(hidden_size=32, dropout=0.9, init_sigma=1.0)).train()
    assert evaluate(model, "abab") == evaluate(model, "abab")
    assert model.training


@settings(max_examples=examples(20))
@given(text=st.text("abz漢\u2603 \n", min_size=2, max_size=60), sort=st.sampled_from([None, "bits", "bits-per-char"]))
def test_lines_count_unknown_characters(text: str, sort: Any) -> None:
    """Their bits are those of the whole text with <unk> for unknown characters; sorting loses none."""
    model = _model()
    whole, lines = evaluate_lines(model, text, sort=sort)
    assert whole == evaluate(model, text, unknown="unk")
    assert sum(line.nats for line in lines) == pytest.approx(whole.total_nats)
    unknown = [char not in model.vocabulary.tokens for char in text]
    assert whole.num_unknown == sum(line.num_unknown for line in lines) == sum(unknown[1:])
    in_order = evaluate_lines(model, text)[1]
    assert [line.number for line in in_order] == list(range(1, len(lines) + 1))
    keys = {
        None: lambda line: -line.number,
        "bits": lambda line: line.bits,
        "bits-per-char": lambda line: line.bits_per_char,
    }
    assert lines == sorted(in_order, key=keys[sort], reverse=True)
    assert (
        evaluate_lines(model, text, sort=sort or "bits", top=2)[1]
        == evaluate_lines(model, text, sort=sort or "bits")[1][:2]
    )


@pytest.mark.parametrize("wrong", [{"top": 0}, {"top": -3}, {"top": True}])
def test_invalid_arguments_of_lines(wrong: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        evaluate_lines(_model(), "ab", **wrong)
    assert caught.value.setting in wrong
