"""Long texts are encoded once: found again when they are the same, and never believed when damaged."""

import gzip
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import CharloomWarning, Corpus, CorpusError, Vocabulary, corpus_from, load_corpus
from charloom.text import encoded_texts, encoding, sources
from charloom.text.encoding import Encoder
from charloom.text.sources import TextFiles

_TEXT = "It was the best of times,\n\n  it was the WORST of times. É \U0001f600\n" * 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, which texts of more than 100 bytes go to."""
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoding, "LARGEST_IN_MEMORY", 100)
    return tmp_path / "cache" / "texts"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files of a test had been there for long."""
    monkeypatch.setattr(sources, "_SETTLED_NANOSECONDS", -(10**18))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(_TEXT)
    return path


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first letters of each piece that is encoded from now on."""
    pieces: list[str] = []
    take = Encoder.take

    def spy(self: Encoder, piece: str | bytes) -> None:
        pieces.append(str(piece[:5]))
        take(self, piece)

    monkeypatch.setattr(Encoder, "take", spy)
    return pieces


@pytest.fixture
def skimmed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is read for its content alone."""
    names: list[str] = []
    skim = TextFiles.skim

    def spy(self: TextFiles, progress: Any) -> str:
        names.append(self.name)
        return skim(self, progress)

    monkeypatch.setattr(TextFiles, "skim", spy)
    return names


def _names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def _same(first: Corpus, second: Corpus) -> bool:
    return (
        first.vocabulary == second.vocabulary
        and torch.equal(first.ids[:], second.ids[:])
        and first.fingerprint == second.fingerprint
        and first.text == second.text
    )


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_a_text_in_a_file_is_as_one_in_memory(unit: Any, file: Path, folder: Path) -> None:
    for clean in (False, True):
        kept = load_corpus(file, unit=unit, lowercase=clean, collapse_whitespace=clean)
        made = corpus_from(_TEXT, unit=unit, lowercase=clean, collapse_whitespace=clean)
        assert _same(kept, made)
        text: Any = made.vocabulary.clean_up(_TEXT if unit == "char" else _TEXT.encode())
        assert kept.text == text
        assert torch.equal(kept.ids[:], kept.vocabulary.encode(text))
        clean_up = made.vocabulary.clean_up
        whole = Vocabulary.of_text(text, clean_up) if unit == "char" else Vocabulary(clean_up=clean_up)
        assert kept.vocabulary == whole
    assert _names(folder) == [".ids", ".ids", ".json", ".json"]


@pytest.mark.usefixtures("settled")
def test_what_has_not_changed_is_not_read_again(
    file: Path, encoded: list[str], skimmed: list[str], folder: Path
) -> None:
    first = load_corpus(file)
    assert len(encoded) == 1
    assert _same(load_corpus(str(file)), first)
    assert _same(load_corpus([file]), first)
    assert (len(encoded), skimmed) == (1, [])
    assert _names(folder) == [".ids", ".json"]


def test_a_file_that_is_seconds_old_is_looked_into(
    file: Path, encoded: list[str], skimmed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times would not tell another change within the same tick of the clock."""
    load_corpus(file)
    load_corpus(file)
    assert (len(encoded), len(skimmed)) == (1, 1)
    monkeypatch.setattr(sources, "_SETTLED_NANOSECONDS", -(10**18))
    load_corpus(file)
    load_corpus(file)
    assert (len(encoded), len(skimmed)) == (1, 2)


@pytest.mark.usefixtures("settled")
def test_the_same_content_elsewhere_is_known_once_it_is_read(
    file: Path, tmp_path: Path, encoded: list[str], skimmed: list[str], folder: Path
) -> None:
    first = load_corpus(file)
    copy = Path(shutil.copy(file, tmp_path / "copy.txt"))
    for _ in range(2):
        corpus = load_corpus(copy)
        assert corpus.name == "copy.txt"
        assert _same(corpus, first)
    os.utime(copy, (1, 1))
    assert _same(load_corpus(copy), first)
    assert len(encoded) == 1
    assert skimmed == [str(copy), str(copy)]  # when it was new, and when its time was
    assert _names(folder) == [".ids", ".json"]


def test_a_file_that_changed_is_read_again(file: Path, encoded: list[str], folder: Path) -> None:
    load_corpus(file)
    changed = "J" + _TEXT[1:]
    file.write_text(changed)
    assert load_corpus(file).text == changed
    file.write_text(_TEXT + "!")
    assert load_corpus(file).text == _TEXT + "!"
    assert encoded == ["It wa", "Jt wa", "It wa"]
    assert len(_names(folder)) == 6


@pytest.mark.usefixtures("settled")
def test_settings_tell_texts_apart(file: Path, encoded: list[str]) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"unit": "byte"},
        {"max_chars": 500},
        {"max_chars": 501},
        {"lowercase": True},
        {"collapse_whitespace": True},
    ]
    texts = [load_corpus(file, **way).text for way in ways]
    assert [load_corpus(file, **way).text for way in ways] == texts
    assert len(encoded) == len(set(texts)) == len(ways)


@pytest.mark.usefixtures("settled")
def test_a_part_is_found_for_the_same_files_only(file: Path, tmp_path: Path) -> None:
    """Of what is not read to its end nothing is known of the end."""
    assert load_corpus(file, max_chars=400).text == _TEXT[:400]
    other = tmp_path / "other.txt"
    other.write_text(_TEXT[:300] + "x" * (len(_TEXT.encode()) - len(_TEXT[:300].encode())))
    assert load_corpus(other, max_chars=400).text == other.read_text()[:400]


def test_files_that_are_cut_elsewhere_are_another_text(tmp_path: Path) -> None:
    """The bytes are the same, the line ends between files are not; nor is a compressed file what its bytes say."""
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


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\1")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".ids", ".json"])
@pytest.mark.parametrize("damage", [_cut, _lengthen, _flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_what_is_damaged_is_made_anew(
    damage: Callable[[Path], Any], suffix: str, file: Path, folder: Path, encoded: list[str]
) -> None:
    first = load_corpus(file)
    text = first.text
    (path,) = folder.glob(f"*{suffix}")
    if suffix == ".ids":  # the one that is open stays whole: a program that reads it must not see this
        copy = path.read_bytes()
        path.unlink()
        path.write_bytes(copy)
    damage(path)
    again = load_corpus(file)
    assert again.text == text
    assert _same(again, first)
    assert len(encoded) == 2 or (suffix, damage) == (".json", _lengthen)
    assert _same(load_corpus(file), first)
    assert _names(folder) == [".ids", ".json"]


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b"\xff", b'{"encoded": {"counts": [1]}}', b'{"encoded": {"counts": 5}}', b"[" * 100_000]
)
def test_a_strange_file_in_the_folder_is_no_obstacle(data: bytes, file: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "strange.json").write_bytes(data)
    assert load_corpus(file).text == _TEXT
    assert not (folder / "strange.json").exists()


def test_what_is_open_stays_readable(file: Path, folder: Path) -> None:
    corpora = [load_corpus(file), load_corpus(file)]
    assert encoded_texts.clear() == len(_TEXT)
    assert list(folder.iterdir()) == []
    file.unlink()
    assert [corpus.text for corpus in corpora] == [_TEXT] * 2


def test_what_comes_through_a_pipe_leaves_nothing(folder: Path) -> None:
    corpus = corpus_from(iter([_TEXT, _TEXT]))
    assert list(folder.iterdir()) == []
    assert corpus.text == _TEXT * 2


def test_a_named_pipe_is_read_anew_each_time(tmp_path: Path, folder: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for text in (_TEXT, _TEXT[::-1]):
        writer = threading.Thread(target=pipe.write_text, args=[text])
        writer.start()
        assert load_corpus(pipe).text == text
        writer.join()
    assert list(folder.iterdir()) == []


def test_what_failed_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(_TEXT.encode() + b"\xff")
    with pytest.raises(CorpusError, match="not UTF-8"):
        load_corpus(file)
    assert not folder.exists() or list(folder.iterdir()) == []

    def stopped() -> Iterator[str]:
        yield from [_TEXT] * 3
        yield "x" * (2 << 20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpus_from(stopped())
    assert list(folder.iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_told_and_not_kept(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Encoder.take

    def meddle(self: Encoder, piece: str | bytes) -> None:
        take(self, piece)
        with file.open("a") as out:
            out.write("and more")

    monkeypatch.setattr(Encoder, "take", meddle)
    with pytest.warns(CharloomWarning, match=r"text\.txt: changed while it was read"):
        corpus = load_corpus(file)
    assert corpus.text == _TEXT
    assert list(folder.iterdir()) == []


def test_what_was_not_used_for_long_goes_when_another_comes(file: Path, tmp_path: Path, folder: Path) -> None:
    load_corpus(file)
    load_corpus(file, unit="byte")
    old = time.time() - 61 * 24 * 3600
    for path in folder.iterdir():
        os.utime(path, (old, old))
    load_corpus(file)  # used again
    other = tmp_path / "other.txt"
    other.write_text("other " * 50)
    load_corpus(other)
    left = {(text.name, text.read_as.unit) for text in encoded_texts.cached_texts()}
    assert left == {(str(file), "char"), (str(other), "char")}
    assert _names(folder) == [".ids", ".ids", ".json", ".json"]


def test_what_a_killed_process_left_goes_after_a_day(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    names = [".encoding-old", "old.ids", ".encoding-new", "new.ids"]
    for name in names:
        (folder / name).write_bytes(b"half")
    for name in names[:2]:
        os.utime(folder / name, (time.time() - 90_000,) * 2)
    load_corpus(file)
    # Those of today may be another process' still.
    assert [(folder / name).exists() for name in names] == [False, False, True, True]
    load_corpus(file, unit="byte")
    assert len(list(folder.iterdir())) == 6


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(file: Path, folder: Path) -> None:
    folder.parent.write_text("a file where the folder would be")
    with pytest.raises(CorpusError, match=r"cache: cannot keep the ids of text\.txt there \(.*CHARLOOM_CACHE"):
        load_corpus(file)


def test_progress(file: Path) -> None:
    told: list[tuple[int, int | None]] = []
    load_corpus(file, progress=lambda done, total: told.append((done, total)))
    size = len(_TEXT.encode())
    assert told == [(size, size)]
    told.clear()
    load_corpus(file, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]


def test_in_another_vocabulary(file: Path) -> None:
    """As ``vocabulary.encode`` of the text, for a text that may be in a file."""
    corpus = load_corpus(file)
    vocabulary = Vocabulary.of_text(_TEXT[::-1] + "zzzzzzzzzz" * 1000)
    again = corpus.in_vocabulary(vocabulary)
    assert torch.equal(again.ids[:], vocabulary.encode(_TEXT))
    assert (again.text, again.fingerprint, again.name) == (_TEXT, corpus.fingerprint, corpus.name)
