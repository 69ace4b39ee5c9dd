import hashlib
import io
import os
import re
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import (
    CharloomWarning,
    CleanUp,
    CorpusError,
    CorpusUnavailableError,
    InputError,
    SettingsError,
    Vocabulary,
    load_corpus,
)
from charloom.text.named_corpora import NAMED_CORPORA, PYTHON_REFERENCE, TIME_MACHINE, NamedCorpus

_CONTENT = "The\n\n Time Machine\n"
_BOTH = CleanUp(lowercase=True, collapse_whitespace=True)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory, with small texts in place of the named ones; no network and an empty cache."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CHARLOOM_DATA", str(folder))
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    for name, real in list(NAMED_CORPORA.items()):
        (folder / real.file_name).write_text(_CONTENT)
        sha256 = hashlib.sha256(_CONTENT.encode()).hexdigest()
        monkeypatch.setitem(NAMED_CORPORA, name, NamedCorpus(real.file_name, sha256, (), real.clean_up))
    return folder


@pytest.fixture
def no_time_machine(stand_ins: Path) -> None:
    (stand_ins / NAMED_CORPORA[TIME_MACHINE].file_name).unlink()


def _file(folder: Path, content: str | bytes, name: str = "text.txt") -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


@pytest.mark.usefixtures("stand_ins")
def test_the_time_machine_is_cleaned_as_in_the_textbook() -> None:
    corpus = load_corpus("time-machine")
    assert corpus.name == "time-machine"
    assert corpus.text == "the time machine "
    assert corpus.vocabulary.clean_up == _BOTH
    assert load_corpus("time-machine", unit="byte").text == b"the time machine "


@pytest.mark.usefixtures("stand_ins")
def test_other_named_corpora_are_left_unchanged() -> None:
    assert load_corpus("tiny-shakespeare").text == _CONTENT
    assert load_corpus("tiny-shakespeare").vocabulary.clean_up == CleanUp()
    reference = load_corpus("python-reference", max_chars=100_000).text
    assert isinstance(reference, str)
    assert any(character.isupper() for character in reference)
    assert "\n" in reference


@pytest.mark.usefixtures("stand_ins")
def test_each_clean_up_can_be_chosen_separately() -> None:
    assert load_corpus("time-machine", lowercase=False).text == "The Time Machine "
    assert load_corpus("time-machine", collapse_whitespace=False).text == _CONTENT.lower()
    assert load_corpus("tiny-shakespeare", lowercase=True).text == _CONTENT.lower()
    assert load_corpus("tiny-shakespeare", collapse_whitespace=True).text == "The Time Machine "


def test_the_real_time_machine(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLOOM_DATA", str(corpora))
    corpus = load_corpus("time-machine", max_chars=10_000)
    assert str(corpus.text).startswith("the time machine, by h. g. wells [1898] ")
    assert len(corpus.text) == 10_000
    assert len(corpus.vocabulary) == 44  # the section's 43 characters and <unk>
    assert corpus.vocabulary.tokens[:4] == ("<unk>", " ", "e", "t")


def test_a_file_is_left_unchanged(tmp_path: Path) -> None:
    corpus = load_corpus(_file(tmp_path, "A\n\n b\tÉ"))
    assert corpus.name == "text.txt"
    assert corpus.text == "A\n\n b\tÉ"
    assert corpus.vocabulary.clean_up == CleanUp()
    assert load_corpus(str(tmp_path / "text.txt"), lowercase=True, collapse_whitespace=True).text == "a b é"


def test_ids_text_and_vocabulary_belong_together(tmp_path: Path, text: str) -> None:
    corpus = load_corpus(_file(tmp_path, text), lowercase=True)
    assert corpus.text == text.lower()
    assert corpus.ids[:].dtype == torch.int64
    assert corpus.ids.shape == (len(corpus.text),)
    assert corpus.vocabulary.decode(corpus.ids) == corpus.text
    assert corpus.vocabulary == Vocabulary.of_text(text.lower(), CleanUp(lowercase=True))
    # More frequent characters have smaller ids, and <unk> never occurs.
    counts = [Counter(corpus.ids.tolist())[i] for i in range(len(corpus.vocabulary))]
    assert counts[0] == 0
    assert counts[1:] == sorted(counts[1:], reverse=True)


@given(
    text=st.text(min_size=1).filter(lambda text: "\0" not in text and text != "\ufeff"),
    lowercase=st.booleans(),
    collapse=st.booleans(),
    max_chars=st.none() | st.integers(1, 20),
)
def test_any_text_is_loaded_clean_and_cut(
    text: str, lowercase: bool, collapse: bool, max_chars: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = _file(tmp_path_factory.getbasetemp(), text, "any.txt")
    corpus = load_corpus(file, max_chars=max_chars, lowercase=lowercase, collapse_whitespace=collapse)
    assert corpus.text == CleanUp(lowercase, collapse)(text.removeprefix("\ufeff"))[:max_chars]
    assert corpus.vocabulary.decode(corpus.ids) == corpus.text


def test_max_chars_counts_the_clean_text(tmp_path: Path) -> None:
    file = _file(tmp_path, "a\n\n\n\nbÉ")
    assert load_corpus(file, max_chars=3, collapse_whitespace=True).text == "a b"
    assert load_corpus(file, max_chars=100).text == "a\n\n\n\nbÉ"
    assert len(load_corpus(file, max_chars=1).vocabulary) == 2
    # In bytes it counts bytes.
    assert load_corpus(file, unit="byte", max_chars=7).text == "a\n\n\n\nbÉ".encode()[:7]


def test_bytes_of_any_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 2
    corpus = load_corpus(_file(tmp_path, data), unit="byte")
    assert corpus.text == data
    assert corpus.ids.tolist() == list(data)
    assert corpus.vocabulary == Vocabulary()
    with pytest.raises(CorpusError, match=r"text\.txt: not UTF-8.*unit='byte'"):
        load_corpus(tmp_path / "text.txt")


def test_one_character_is_a_corpus(tmp_path: Path) -> None:
    corpus = load_corpus(_file(tmp_path, "語"))
    assert corpus.vocabulary.tokens == ("<unk>", "語")
    assert corpus.ids.tolist() == [1]


def test_the_fingerprint_is_of_the_clean_text(tmp_path: Path) -> None:
    file = _file(tmp_path, "Né\n")
    assert load_corpus(file).fingerprint == hashlib.sha256("Né\n".encode()).hexdigest()
    assert load_corpus(file, unit="byte").fingerprint == load_corpus(file).fingerprint
    assert load_corpus(file, lowercase=True).fingerprint == hashlib.sha256("né\n".encode()).hexdigest()


def test_several_files_and_a_folder_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [_file(tmp_path, "a", "1.txt"), _file(tmp_path, "b", "2.txt")]
    corpus = load_corpus(files)
    assert (corpus.name, corpus.text) == ("1.txt, 2.txt", "a\nb")
    corpus = load_corpus([str(tmp_path)])
    assert (corpus.name, corpus.text) == (tmp_path.name, "a\nb")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    corpus = load_corpus(["-"])
    assert (corpus.name, corpus.text) == ("-", "piped")


@pytest.mark.usefixtures("stand_ins")
def test_a_sequence_of_one_name_is_the_name() -> None:
    assert load_corpus(["time-machine"]).text == load_corpus("time-machine").text


@pytest.mark.usefixtures("stand_ins")
def test_a_path_is_never_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _file(tmp_path, "a file", "time-machine")
    assert load_corpus(Path("time-machine")).text == "a file"
    assert load_corpus("./time-machine").text == "a file"
    assert load_corpus("time-machine").text == "the time machine "


def test_a_misspelled_name_lists_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = "time-machin: no such file or corpus; the corpora are time-machine, tiny-shakespeare, python-reference"
    with pytest.raises(CorpusError, match=expected):
        load_corpus("time-machin")
    _file(tmp_path, "a file", "time-machin")
    assert load_corpus("time-machin").text == "a file"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=re.escape(str(tmp_path / "none.txt")) + ": no such file or directory$"):
        load_corpus(str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    "source", ["x" * 5000, "It was the best of times. " * 300, "a\0b"], ids=["word", "text", "nul"]
)
def test_a_text_in_place_of_a_path_is_refused(source: str) -> None:
    with pytest.raises(CorpusError):
        load_corpus(source)


def test_an_empty_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the current folder: a shell's unset variable is an empty name."""
    monkeypatch.chdir(tmp_path)
    _file(tmp_path, "private")
    for source in ["", [""], ["text.txt", ""]]:
        with pytest.raises(CorpusError):
            load_corpus(source)
    assert load_corpus(".").text == "private"


def test_no_source_is_refused() -> None:
    with pytest.raises(CorpusError, match="no text was passed"):
        load_corpus([])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"text\.txt: empty"):
        load_corpus(_file(tmp_path, ""))


@pytest.mark.parametrize(
    ("setting", "value"), [("unit", "word"), ("max_chars", 0), ("lowercase", "yes"), ("collapse_whitespace", 1)]
)
def test_invalid_settings_are_refused_before_anything_is_read(setting: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=setting):
        load_corpus("no/such/file.txt", **{setting: value})


@pytest.mark.usefixtures("stand_ins")
def test_the_time_machine_is_the_default() -> None:
    corpus = load_corpus()
    assert (corpus.name, corpus.text) == ("time-machine", "the time machine ")


@pytest.mark.usefixtures("no_time_machine")
def test_pythons_reference_replaces_an_unavailable_time_machine() -> None:
    with pytest.warns(
        CharloomWarning, match="'time-machine' is not available.*reference text that is part of Python"
    ) as warned:
        corpus = load_corpus(None, max_chars=10_000)
    assert len(warned) == 1
    assert warned[0].filename == __file__  # the caller's line
    assert corpus.name == PYTHON_REFERENCE
    # Cleaned as the text that it replaces.
    assert corpus.vocabulary.clean_up == _BOTH
    assert corpus.text == _BOTH(str(load_corpus(PYTHON_REFERENCE).text))[:10_000]
    with pytest.warns(CharloomWarning, match="is not available"):
        assert (
            load_corpus(unit="byte", max_chars=10, lowercase=False, collapse_whitespace=False).text
            == (str(load_corpus(PYTHON_REFERENCE).text).encode()[:10])
        )


@pytest.mark.usefixtures("no_time_machine")
def test_a_named_corpus_is_not_replaced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in ["time-machine", ["time-machine"]]:
            with pytest.raises(
                CorpusUnavailableError, match=r"timemachine\.txt is missing or unreadable.*CHARLOOM_DATA"
            ):
                load_corpus(source)


def test_an_invalid_file_of_the_default_text_is_not_replaced(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an unavailable text is replaced."""
    data = b"\xff"
    (stand_ins / "timemachine.txt").write_bytes(data)
    real = NamedCorpus("timemachine.txt", hashlib.sha256(data).hexdigest(), ())
    monkeypatch.setitem(NAMED_CORPORA, TIME_MACHINE, real)
    with pytest.raises(CorpusError, match="time-machine: not UTF-8 at byte 0"):
        load_corpus()


def test_any_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus' name is a str; other path objects are files of any name."""
    monkeypatch.chdir(tmp_path)
    Path("time-machine").write_text("a fox")
    (entry,) = os.scandir()
    sources: list[Any] = [Path(entry), entry, [entry]]
    for source in sources:
        assert load_corpus(source).text == "a fox"
    wrong: list[Any] = [*os.scandir(os.fsencode(tmp_path)), [b"time-machine"]]
    for source in wrong:
        with pytest.raises(InputError):
            load_corpus(source)
