"""Cached encoded texts that are damaged, interrupted, blocked, or old."""

import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charloom import CharloomWarning, CorpusError, corpus_from, load_corpus
from charloom.io.lock import FolderLock
from charloom.text import encoded_texts
from charloom.text.encoding import Encoder
from long_text import LONG_TEXT, same_corpus, suffixes

pytestmark = pytest.mark.usefixtures("kept_texts")


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\1")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_cut, _lengthen, _flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_encoded_again(
    damage: Callable[[Path], Any], long_text: Path, kept_texts: Path, encoded_chunks: list[str]
) -> None:
    first = load_corpus(long_text)
    text = first.text
    (path,) = kept_texts.iterdir()
    copy = path.read_bytes()
    path.unlink()  # the mapped file must stay complete: a program that reads it must not see this
    path.write_bytes(copy)
    damage(path)
    again = load_corpus(long_text)
    assert again.text == text
    assert same_corpus(again, first)
    assert len(encoded_chunks) == 2
    assert same_corpus(load_corpus(long_text), first)
    assert len(encoded_chunks) == 2
    assert suffixes(kept_texts) == [".ids"]


def test_any_byte_may_be_damaged(long_text: Path, kept_texts: Path, encoded_chunks: list[str]) -> None:
    first = load_corpus(long_text)
    (path,) = kept_texts.iterdir()
    data = path.read_bytes()
    # Each takes a new file on the disk; other places are as likely to be noticed.
    places = [*range(0, len(data), 61), *range(len(data) - 12, len(data))]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1
        path.unlink()
        path.write_bytes(damaged)
        assert same_corpus(load_corpus(long_text), first)
    assert len(encoded_chunks) == 1 + len(places)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"name": "a", "encoded": {"counts": 5}}', b"[" * 100_000]
)
def test_a_foreign_file_in_the_cache_is_no_obstacle(data: bytes, long_text: Path, kept_texts: Path) -> None:
    kept_texts.mkdir(parents=True)
    (kept_texts / "strange.ids").write_bytes(data)
    (kept_texts / "whole.ids").write_bytes(data + struct.pack("<IQ", zlib.crc32(data), len(data)))
    assert load_corpus(long_text).text == LONG_TEXT
    assert len(list(kept_texts.iterdir())) == 1


@pytest.mark.parametrize("error", [ValueError, OSError, MemoryError, CorpusError])
def test_an_error_of_the_callers_own_goes_to_the_caller(
    error: type[Exception], long_text: Path, kept_texts: Path, encoded_chunks: list[str]
) -> None:
    """The cached text is not affected and stays."""

    def failing(_: int, __: int | None) -> None:
        raise error("its own")

    first = load_corpus(long_text)
    with pytest.raises(error, match="its own"):
        load_corpus(long_text, progress=failing)
    assert suffixes(kept_texts) == [".ids"]
    assert same_corpus(load_corpus(long_text), first)
    assert len(encoded_chunks) == 1


def test_what_is_open_stays_readable(long_text: Path, kept_texts: Path) -> None:
    corpora = [load_corpus(long_text), load_corpus(long_text)]
    assert encoded_texts.clear() == len(LONG_TEXT)
    assert list(kept_texts.iterdir()) == []
    long_text.unlink()
    assert [corpus.text for corpus in corpora] == [LONG_TEXT] * 2


def test_a_text_from_a_pipe_leaves_no_file(kept_texts: Path) -> None:
    corpus = corpus_from(iter([LONG_TEXT, LONG_TEXT]))
    assert list(kept_texts.iterdir()) == []
    assert corpus.text == LONG_TEXT * 2


def test_a_named_pipe_is_read_each_time(tmp_path: Path, kept_texts: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for text in (LONG_TEXT, LONG_TEXT[::-1]):
        writer = threading.Thread(target=pipe.write_text, args=[text])
        writer.start()
        assert load_corpus(pipe).text == text
        writer.join()
    assert list(kept_texts.iterdir()) == []


def test_a_failure_leaves_no_file(tmp_path: Path, kept_texts: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(LONG_TEXT.encode() + b"\xff")
    with pytest.raises(CorpusError, match="not UTF-8"):
        load_corpus(file)
    assert not kept_texts.exists() or list(kept_texts.iterdir()) == []

    def stopped() -> Iterator[str]:
        yield from [LONG_TEXT] * 3
        yield "x" * (2 << 20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpus_from(stopped())
    assert list(kept_texts.iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_reported_and_not_cached(
    long_text: Path, kept_texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Encoder.encode

    def modify(self: Encoder, chunk: str | bytes) -> None:
        encode(self, chunk)
        with long_text.open("a") as out:
            out.write("and more")

    monkeypatch.setattr(Encoder, "encode", modify)
    with pytest.warns(CharloomWarning, match=r"text\.txt: changed while it was being read"):
        corpus = load_corpus(long_text)
    assert corpus.text == LONG_TEXT
    assert list(kept_texts.iterdir()) == []


def test_old_texts_are_removed_when_another_is_cached(long_text: Path, tmp_path: Path, kept_texts: Path) -> None:
    load_corpus(long_text)
    load_corpus(long_text, unit="byte")
    old = time.time() - 61 * 24 * 3600
    for path in kept_texts.iterdir():
        os.utime(path, (old, old))
    load_corpus(long_text)  # used again
    other = tmp_path / "other.txt"
    other.write_text("other " * 50)
    load_corpus(other)
    left = {(text.name, text.encoded.unit) for text in encoded_texts.cached_texts()}
    assert left == {(str(long_text), "char"), (str(other), "char")}
    assert suffixes(kept_texts) == [".ids", ".ids"]


def test_files_of_a_killed_process_are_removed_after_a_day(long_text: Path, kept_texts: Path) -> None:
    kept_texts.mkdir(parents=True)
    old, new = kept_texts / ".encoding-old", kept_texts / ".encoding-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    load_corpus(long_text)
    # Today's file may be in use by another process.
    assert (old.exists(), new.exists()) == (False, True)
    load_corpus(long_text, unit="byte")
    assert len(list(kept_texts.iterdir())) == 3


def test_what_is_cleared_counts_what_killed_processes_left(long_text: Path, kept_texts: Path) -> None:
    """But for what another one may be writing, or waiting for, at this moment, however long that takes."""
    load_corpus(long_text)
    size = sum(file.stat().st_size for file in kept_texts.iterdir())
    for name, age in ((".encoding-dead", 3600), (".dead.lock", 10), (".encoding-alive", 10)):
        (kept_texts / name).write_bytes(b"x" * 1000)
        os.utime(kept_texts / name, (time.time() - age,) * 2)
    with FolderLock(kept_texts, "another", name=".alive.lock"):
        os.utime(kept_texts / ".alive.lock", (1, 1))
        assert 0 < encoded_texts.clear() - 1000 <= size
        assert {file.name for file in kept_texts.iterdir()} == {".alive.lock", ".encoding-alive"}


def test_a_folder_that_is_not_writable_is_named_with_advice(long_text: Path, kept_texts: Path) -> None:
    kept_texts.parent.write_text("a file in place of the cache folder")
    with pytest.raises(
        CorpusError, match=r"cache: cannot write the token ids of text\.txt to this folder \(.*CHARLOOM_CACHE"
    ):
        load_corpus(long_text)
