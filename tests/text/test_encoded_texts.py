"""The cache of encoded long texts: a text is found again if it is the same; damage is detected."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import Vocabulary, corpus_from, load_corpus
from charloom.text import sources
from long_text import LONG_TEXT, same_corpus, suffixes

pytestmark = pytest.mark.usefixtures("kept_texts")


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_a_text_in_a_file_equals_one_in_memory(unit: Any, long_text: Path, kept_texts: Path) -> None:
    for clean in (False, True):
        kept = load_corpus(long_text, unit=unit, lowercase=clean, collapse_whitespace=clean)
        made = corpus_from(LONG_TEXT, unit=unit, lowercase=clean, collapse_whitespace=clean)
        assert same_corpus(kept, made)
        text: Any = made.vocabulary.clean_up(LONG_TEXT if unit == "char" else LONG_TEXT.encode())
        assert kept.text == text
        assert torch.equal(kept.ids[:], kept.vocabulary.encode(text))
        clean_up = made.vocabulary.clean_up
        whole = Vocabulary.of_text(text, clean_up) if unit == "char" else Vocabulary(clean_up=clean_up)
        assert kept.vocabulary == whole
    assert suffixes(kept_texts) == [".ids", ".ids"]


def test_an_unchanged_file_is_not_read_again(long_text: Path, encoded_chunks: list[str], kept_texts: Path) -> None:
    first = load_corpus(long_text)
    assert len(encoded_chunks) == 1
    assert same_corpus(load_corpus(str(long_text)), first)
    assert same_corpus(load_corpus([long_text]), first)
    assert len(encoded_chunks) == 1
    assert suffixes(kept_texts) == [".ids"]


def test_a_file_that_is_seconds_old_is_not_cached(
    long_text: Path, kept_texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times would not show another change within the same tick of the clock."""
    monkeypatch.setattr(sources, "_SETTLED_NANOSECONDS", 60 * 10**9)
    first = load_corpus(long_text)
    assert list(kept_texts.iterdir()) == []
    assert same_corpus(load_corpus(long_text), first)


def test_a_copy_and_a_file_of_another_time_are_other_files(long_text: Path, tmp_path: Path, kept_texts: Path) -> None:
    first = load_corpus(long_text)
    copy = Path(shutil.copy(long_text, tmp_path / "copy.txt"))
    assert load_corpus(copy).name == "copy.txt"
    os.utime(copy, (1, 1))
    assert same_corpus(load_corpus(copy), first)
    assert suffixes(kept_texts) == [".ids"] * 3


def test_a_file_that_changed_is_read_again(long_text: Path, encoded_chunks: list[str], kept_texts: Path) -> None:
    load_corpus(long_text)
    changed = "J" + LONG_TEXT[1:]
    long_text.write_text(changed)
    os.utime(long_text, (1, 1))  # another time even if the clock ticks slowly
    assert load_corpus(long_text).text == changed
    long_text.write_text(LONG_TEXT + "!")
    assert load_corpus(long_text).text == LONG_TEXT + "!"
    assert encoded_chunks == ["It wa", "Jt wa", "It wa"]
    assert len(suffixes(kept_texts)) == 3


def test_settings_distinguish_texts(long_text: Path, encoded_chunks: list[str]) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"unit": "byte"},
        {"max_chars": 500},
        {"max_chars": 501},
        {"lowercase": True},
        {"collapse_whitespace": True},
    ]
    texts = [load_corpus(long_text, **way).text for way in ways]
    assert [load_corpus(long_text, **way).text for way in ways] == texts
    assert len(encoded_chunks) == len(set(texts)) == len(ways)


def test_a_part_is_found_for_the_same_files_only(long_text: Path, tmp_path: Path) -> None:
    """If a file was not read to its end, nothing is known of the end."""
    assert load_corpus(long_text, max_chars=400).text == LONG_TEXT[:400]
    other = tmp_path / "other.txt"
    other.write_text(LONG_TEXT[:300] + "x" * (len(LONG_TEXT.encode()) - len(LONG_TEXT[:300].encode())))
    assert load_corpus(other, max_chars=400).text == other.read_text()[:400]


def test_parts_of_two_files_are_both_cached(long_text: Path, tmp_path: Path, encoded_chunks: list[str]) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Another" + LONG_TEXT)
    for file in (long_text, other) * 2:
        load_corpus(file, max_chars=400)
    assert encoded_chunks == ["It wa", "Anoth"]


def test_files_split_elsewhere_are_another_text(tmp_path: Path) -> None:
    """The bytes are the same, the line ends between files are not; nor is a compressed file its raw bytes."""
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    for at in (200, 300):
        a.write_text("x" * at)
        b.write_text("x" * (500 - at))
        assert load_corpus([a, b]).text == "x" * at + "\n" + "x" * (500 - at)
    packed = gzip.compress(os.urandom(300).hex().encode())
    for name in ("p.gz", "p.bin"):
        (tmp_path / name).write_bytes(packed)
    assert load_corpus(tmp_path / "p.gz", unit="byte").text == gzip.decompress(packed)
    assert load_corpus(tmp_path / "p.bin", unit="byte").text == packed


def test_progress(long_text: Path) -> None:
    reported: list[tuple[int, int | None]] = []
    load_corpus(long_text, progress=lambda done, total: reported.append((done, total)))
    size = len(LONG_TEXT.encode())
    assert reported == [(size, size)]
    reported.clear()
    load_corpus(long_text, progress=lambda done, total: reported.append((done, total)))
    assert reported[-1][0] == reported[-1][1]


def test_in_another_vocabulary(long_text: Path) -> None:
    """Equals ``vocabulary.encode`` of the text, for ids that may be in a file."""
    corpus = load_corpus(long_text)
    vocabulary = Vocabulary.of_text(LONG_TEXT[::-1] + "zzzzzzzzzz" * 1000)
    again = corpus.in_vocabulary(vocabulary)
    assert torch.equal(again.ids[:], vocabulary.encode(LONG_TEXT))
    assert (again.text, again.fingerprint, again.name) == (LONG_TEXT, corpus.fingerprint, corpus.name)
