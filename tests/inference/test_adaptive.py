"""Adaptive evaluation: the sizes of compressed files, in any division, of any bytes."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import (
    Codec,
    CorpusError,
    InputError,
    LanguageModel,
    ModelFolderError,
    RecordCodec,
    SettingsError,
    evaluate,
    evaluate_chunks,
    evaluate_lines,
    split_chars,
    split_lines,
)
from charloom_codec.engines import engine
from charloom_codec.engines.native import choose_instruction_set
from examples import examples
from fakes import cyclic_predictor

pytestmark = pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engines would take minutes")

_LINE = "the quick brown fox jumps over the lazy dog\n"
"""The line that ``char_model`` memorized."""
_TEXTS = {
    "memorized": _LINE * 30,
    "upper case": _LINE.upper() * 5,
    "noise": "".join(map(chr, random.Random(1).choices(range(32, 3000), k=3000))),
    "one character": "x",
    "lone surrogate": "fox \ud800 dog",
    "several lanes": (_LINE + "the quick brown dog jumps over the lazy fox\n") * 300,
}


@pytest.mark.parametrize("name", _TEXTS)
def test_agrees_with_the_size_of_the_compressed_text(
    name: str, char_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_MIN_BYTES_FOR_LANES", 20_000)
    data = _TEXTS[name].encode("utf-8", "surrogatepass")
    for model in (char_model, LanguageModel.load(char_model)):
        result = evaluate(model, _TEXTS[name], adaptive=True)
        assert (result.num_chars, result.num_bytes, result.num_unknown) == (len(_TEXTS[name]), len(data), 0)
        size = len(Codec(model).compress(data))
        overhead = 40 + 10 * (len(data) >> 16)  # header; length and checksum of each block
        if size < len(data):  # otherwise it is stored
            assert size - overhead <= result.total_nats / math.log(2) / 8 <= size
        assert evaluate(model, data, adaptive=True).total_nats == result.total_nats


@settings(max_examples=examples(8), deadline=None)
@given(lines=st.lists(st.text("the fox\t\r\u2028é漢🙂", max_size=20), min_size=1, max_size=8))
def test_parts_sum_to_the_whole(lines: list[str], char_model: Path) -> None:
    text = "\n".join(lines)
    if not text:
        with pytest.raises(CorpusError, match="empty"):
            evaluate(char_model, text, adaptive=True)
        return
    whole = evaluate(char_model, text, adaptive=True)
    results = [evaluate_chunks(char_model, split(text), adaptive=True) for split in (split_lines, split_chars)]
    results.append(evaluate_lines(char_model, text, adaptive=True))
    for result, parts in results:
        assert result == whole
        assert "".join(part.text for part in parts) == text
        assert sum(part.num_chars for part in parts) == whole.num_chars
        assert sum(part.nats for part in parts) == pytest.approx(whole.total_nats, rel=1e-9)
    assert sum(part.nats for part in results[1][1][: len(lines[0])]) == pytest.approx(
        evaluate_chunks(char_model, [lines[0], text[len(lines[0]) :]], adaptive=True)[1][0].nats, abs=1e-9
    )


def test_a_message_is_surprising_once(char_model: Path) -> None:
    """The network is as surprised by the repetition; a line before changes nothing that came earlier."""
    new = "kernel panic at 0xdeadbeef\n"
    text = _LINE * 3 + new + _LINE * 2 + new
    _, lines = evaluate_lines(char_model, text, adaptive=True)
    bits = [line.bits for line in lines]
    assert bits[3] > 5 * bits[6] > 0
    assert evaluate_lines(char_model, text, adaptive=True, top=1)[1][0].number == 4
    assert [line.bits for line in evaluate_lines(char_model, _LINE * 3 + new, adaptive=True)[1]] == bits[:4]
    _, alone = evaluate_lines(LanguageModel.load(char_model), text, unknown="unk")
    assert alone[6].bits > 0.8 * alone[3].bits


@settings(max_examples=examples(8), deadline=None)
@given(lines=st.lists(st.text("the fox\t\r\u2028é漢🙂", max_size=20), min_size=1, max_size=8), ends=st.booleans())
@pytest.mark.parametrize("as_bytes", [True, False])
def test_lines_alone_are_records(as_bytes: bool, lines: list[str], ends: bool, char_model: Path) -> None:
    """Each line has the bits of its record, whatever the others are; a last line without line feed has no end."""
    text = "\n".join(lines) + "\n" * ends
    if not text:
        with pytest.raises(CorpusError, match="empty"):
            evaluate_lines(char_model, text, independent=True)
        return
    whole, found = evaluate_lines(char_model, text.encode() if as_bytes else text, independent=True)
    if not as_bytes:
        assert "".join(line.text for line in found) == text
    assert whole.num_bytes == len(text.encode())
    assert sum(line.num_chars for line in found) == whole.num_chars == len(text.encode() if as_bytes else text)
    assert sum(line.nats for line in found) == pytest.approx(whole.total_nats, rel=1e-9)
    costs = RecordCodec(char_model).measure_batch([line.encode() for line in lines])
    for line, of_record in zip(found, costs, strict=False):
        size = len(of_record.bits) - (line.number == len(lines) and not ends)
        assert line.bits == pytest.approx(of_record.bits[:size].sum(dtype=float), abs=1e-6)


def test_all_occurrences_of_a_message_are_surprising(char_model: Path) -> None:
    new = "kernel panic at 0xdeadbeef\n"
    _, lines = evaluate_lines(char_model, _LINE * 3 + new + _LINE * 2 + new, independent=True, sort="bits-per-char")
    assert {line.number for line in lines[:2]} == {4, 7}
    assert len({round(line.bits, 6) for line in lines}) == 2


@pytest.mark.parametrize("independent", [False, True])
def test_progress_ends_with_all_bytes(independent: bool, char_model: Path) -> None:
    text, seen = _LINE * 4000, []
    count = len(text) - 4000 * independent  # the ends of records do not count
    evaluate_lines(
        char_model,
        text,
        adaptive=not independent,
        independent=independent,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (count, count)
    assert len(seen) > 1


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(char_model: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="empty"):
        evaluate_lines(char_model, "", adaptive=True)
    with pytest.raises(SettingsError, match="adaptive=True and independent=True contradict"):
        evaluate_lines(char_model, "text", adaptive=True, independent=True)
    with pytest.raises(InputError, match="independent"):
        evaluate_lines(char_model, "text", independent="yes")  # type: ignore[arg-type]
    with pytest.raises(ModelFolderError, match="no such model folder"):
        evaluate_lines(tmp_path / "none", "text", independent=True)
    with pytest.raises(ModelFolderError, match="no such model folder"):
        evaluate(tmp_path / "none", "text", adaptive=True)
    with pytest.raises(InputError, match="model folder"):
        evaluate(cyclic_predictor(), "text", adaptive=True)
    with pytest.raises(InputError, match="chunks"):
        evaluate_chunks(char_model, ["a", 3], adaptive=True)  # type: ignore[list-item]
    with pytest.raises(SettingsError, match="unknown"):
        evaluate(char_model, "text", adaptive=True, unknown="no")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="adaptive"):
        evaluate(char_model, "text", adaptive=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="model"):
        evaluate(char_model, "text")
