"""A text in chunks becomes what the whole text would."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charloom import CleanUp, CorpusError, Vocabulary, load_corpus, split_chars, split_lines
from charloom.text import chunks, encoding, sources


def _file(folder: Path, content: str | bytes, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("aAΣİß \n\t\xa0\u3000é語😀\ufeff", max_size=9), min_size=1, max_size=4).filter(any),
    clean_up=st.builds(CleanUp, st.booleans(), st.booleans()),
    max_chars=st.none() | st.integers(1, 20),
    sizes=st.tuples(*[st.integers(1, 9)] * 2, st.integers(0, 30)),
    unit=st.sampled_from(["char", "byte"]),
)
def test_a_streamed_text_equals_one_read_at_once(
    texts: list[str],
    clean_up: CleanUp,
    max_chars: int | None,
    sizes: tuple[int, int, int],
    unit: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Read, join, clean, cut, count, encode: for any chunks, with ids in memory or in a file."""
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_CHUNK", sizes[0])
    monkeypatch.setattr(chunks, "_CHUNK_CHARS", sizes[1])
    monkeypatch.setattr(encoding, "MAX_IN_MEMORY", sizes[2])
    files = [_file(tmp_path, text, f"{number}.txt") for number, text in enumerate(texts)]
    if unit == "byte":
        whole: Any = clean_up("".join(texts).encode())[:max_chars]
        vocabulary = Vocabulary(clean_up=clean_up)
    else:
        bare = [text.removeprefix("\ufeff") for text in texts]
        lines = [text if text.endswith("\n") or not text else text + "\n" for text in bare[:-1]]
        whole = clean_up("".join(lines) + bare[-1])[:max_chars]
        if not whole:
            return
        vocabulary = Vocabulary.of_text(whole, clean_up)
    for _ in range(2):  # encoded, and found
        corpus = load_corpus(files, unit=unit, max_chars=max_chars, **vars(clean_up))
        assert corpus.text == whole
        assert corpus.vocabulary == vocabulary
        assert torch.equal(corpus.ids[:], vocabulary.encode(whole))
        assert corpus.fingerprint == hashlib.sha256(whole if unit == "byte" else whole.encode()).hexdigest()


def test_text_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_CHUNK", 10)
    file = _file(tmp_path, b"0123456789" * 3 + b"\xff")
    monkeypatch.setattr(chunks, "_CHUNK_CHARS", 10)
    assert load_corpus(file, max_chars=25).text == "0123456789012345678901234"
    with pytest.raises(CorpusError, match="not UTF-8"):
        load_corpus(file, max_chars=31)


@given(
    texts=st.lists(st.text(max_size=9), max_size=6), unit=st.sampled_from(["char", "byte"]), count=st.integers(0, 20)
)
def test_resized_chunks_are_the_same_text(texts: list[str], unit: Any, count: int) -> None:
    """None is larger than asked; the first characters are those of the whole."""
    cut: list[str | bytes] = [text.encode() if unit == "byte" else text for text in texts]
    whole = chunks.join_chunks(cut, unit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_CHUNK_CHARS", 5)
        found = list(chunks.resize_chunks(cut, unit))
    assert chunks.join_chunks(found, unit) == whole
    assert all(len(chunk) <= 5 for chunk in found)
    assert chunks.join_chunks(list(chunks.take_first(cut, count)), unit) == whole[:count]
    assert list(chunks.take_first(cut, None)) == cut


@pytest.mark.parametrize("text", ["a\n\nb\r\nc\u2028d", "", "\n", "x\n"])
def test_lines_and_characters_join_to_the_text(text: str) -> None:
    """A line ends with a line feed only."""
    assert "".join(split_lines(text)) == "".join(split_chars(text)) == text
    assert b"".join(split_lines(text.encode())) == b"".join(split_chars(text.encode())) == text.encode()
    assert all(line.endswith("\n") for line in split_lines(text)[:-1])
    assert len(split_lines(text)) == text.count("\n") + (not text.endswith("\n") and bool(text))
    assert len(split_chars(text)) == len(text)
