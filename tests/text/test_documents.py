"""Corpora of texts from an iterable."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import charloom
from charloom import CorpusError, CorpusUnavailableError, InputError, UnknownCharacterError, corpus_from, load_corpus


@given(
    documents=st.lists(st.text("ab\n", max_size=4), max_size=6).filter(any),
    separator=st.sampled_from(["\n", "", "--", "a"]),
)
def test_documents_never_share_a_line(documents: list[str], separator: str) -> None:
    """Neither do files."""
    expected = ""
    for document in filter(None, documents):
        if expected and not expected.endswith(separator):
            expected += separator
        expected += document
    corpus = corpus_from(iter(documents), separator=separator)
    assert corpus.text == expected
    assert corpus.vocabulary == charloom.Vocabulary.of_text(expected)
    of_bytes = corpus_from([document.encode() for document in documents], unit="byte", separator=separator)
    assert of_bytes.text == expected.encode()


def test_a_single_text() -> None:
    corpus = corpus_from("A text\n\n of ours", name="ours", lowercase=True, collapse_whitespace=True, max_chars=9)
    assert (corpus.name, corpus.text) == ("ours", "a text of")
    assert corpus_from("né", unit="byte").text == "né".encode()
    assert corpus_from(b"\xff\0", unit="byte").text == b"\xff\0"


def test_no_more_documents_are_read_than_needed() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "a" * 100_000

    assert len(corpus_from(endless(), max_chars=3_000_000).ids) == 3_000_000


def test_errors_of_the_iterable_pass() -> None:
    def failing() -> Iterator[str]:
        yield "a"
        raise FileNotFoundError("theirs")

    with pytest.raises(FileNotFoundError, match="theirs"):
        corpus_from(failing())


def test_rows() -> None:
    rows = [{"text": "a", "label": 1}, {"text": None, "label": 2}, {"text": "b", "label": 3}]
    assert corpus_from(rows).text == "a\nb"
    assert corpus_from([{"body": "a", "n": 1}]).text == "a"
    both = [{"title": "t", "body": "b"}]
    assert corpus_from(both, column="body").text == "b"
    with pytest.raises(CorpusError, match=r"text, document 1: specify the column that contains the text.*title, body"):
        corpus_from(both)
    with pytest.raises(CorpusError, match="document 1: there is no column 'x'; the columns are title, body"):
        corpus_from(both, column="x")


@pytest.mark.parametrize(
    ("documents", "unit", "expected"),
    [
        ([], "char", "text: empty"),
        ("", "char", "text: empty"),
        (["", ""], "byte", "text: empty"),
        (["a", 5], "char", "text, document 2: expected a str, not int"),
        (["a", b"b"], "char", "text, document 2: expected a str, not bytes; unit='byte' accepts any file"),
        (["a", "b\ud800"], "char", r"document 2: not valid Unicode: '\\ud800' \(at position 1\)"),
        (["a", "b\ud800"], "byte", r"document 2: not valid Unicode: '\\ud800' \(at position 1\)"),
        (7, "char", "text: int is neither a str nor an iterable of str"),
    ],
)
def test_invalid_documents_are_refused(documents: Any, unit: Any, expected: str) -> None:
    with pytest.raises(CorpusError, match=expected):
        corpus_from(documents, unit=unit)


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_a_separator_that_is_no_text_is_refused(unit: Any) -> None:
    with pytest.raises(CorpusError, match=r"text, the separator: not valid Unicode: '\\ud800' \(at position 0\)"):
        corpus_from(["a", "b"], unit=unit, separator="\ud800")


def test_another_vocabulary_must_fit() -> None:
    corpus = corpus_from("abc")
    with pytest.raises(UnknownCharacterError, match="'c'"):
        corpus.in_vocabulary(corpus_from("ab").vocabulary)
    for other in (corpus_from("abc", lowercase=True), corpus_from("abc", unit="byte")):
        with pytest.raises(InputError, match="lowercase="):
            corpus.in_vocabulary(other.vocabulary)
    of_bytes = corpus_from("abc", unit="byte")
    assert of_bytes.in_vocabulary(charloom.Vocabulary()) is of_bytes


@pytest.mark.filterwarnings("ignore")  # in order
@pytest.mark.parametrize("streamed", [False, True])
def test_a_data_set(streamed: bool, tmp_path: Path) -> None:
    """A real one, from a file."""
    datasets = pytest.importorskip("datasets")
    file = tmp_path / "data.jsonl"
    texts = ["first é", "", "second\n", "third"]
    file.write_text("".join(json.dumps({"text": text, "label": "a"}) + "\n" for text in texts))
    options = {"split": "train", "streaming": streamed, "cache_dir": str(tmp_path / "cache")}
    data = datasets.load_dataset("json", data_files=str(file), **options)
    assert corpus_from(data, name="ours").text == "first é\nsecond\nthird"
    assert corpus_from(data, column="label").text == "a\na\na\na"
    if not streamed:
        assert corpus_from(data["text"]).text == "first é\nsecond\nthird"


def test_the_hub_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        CorpusError, match="hf:some/data: reading a dataset requires the datasets package; install it with pip install"
    ):
        load_corpus("hf:some/data")


class _Hub:
    """Replaces the ``datasets`` package."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def load_dataset(self, path: str, name: str | None, *, split: str, streaming: bool) -> Iterator[dict[str, str]]:
        self.asked.append((path, name, split, streaming))
        if path == "none":
            raise ConnectionError("no network\nat all")
        yield from [{"text": "one", "other": "eins"}, {"text": "two", "other": "zwei"}]
        if path == "half":
            raise TimeoutError("gone")


def test_names_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = _Hub()
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert load_corpus("hf:some/data").text == "one\ntwo"
    assert load_corpus(["hf:some/data@big:test:other"], lowercase=True).text == "eins\nzwei"
    assert hub.asked == [("some/data", None, "train", True), ("some/data", "big", "test", True)]
    assert load_corpus("hf:some/data").name == "hf:some/data"
    with pytest.raises(
        CorpusUnavailableError, match=r"hf:none: the dataset is not available \(ConnectionError: no network at all\)"
    ):
        load_corpus("hf:none")
    with pytest.raises(CorpusUnavailableError, match=r"hf:half: the dataset is not available \(TimeoutError: gone\)"):
        load_corpus("hf:half")
    for wrong in ("hf:", "hf::train", "hf:a:b:c:d"):
        with pytest.raises(
            CorpusError, match="a dataset is specified as hf:NAME, hf:NAME:SPLIT or hf:NAME:SPLIT:COLUMN"
        ):
            load_corpus(wrong)
