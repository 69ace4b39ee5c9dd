"""The prefix with which a page starts: that of the training, or a line of the priming text."""

from pathlib import Path

import pytest

from charloom import LanguageModel, Vocabulary, build_model
from charloom.export.start_prefix import find_start_prefix
from charloom_codec.model.priming import PRIMING_FILE, Priming

_LINE = "It was the best of times, it was the worst of times"


def _make_model(**provenance: object) -> LanguageModel:
    model = build_model(Vocabulary.of_text("a"))
    model.provenance = provenance
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with a priming that starts within a line."""
    text = f"half a line\n\nTitle\n{_LINE}\n".encode()
    (tmp_path / PRIMING_FILE).write_bytes(Priming(text, 3).to_bytes())
    return tmp_path


def test_a_prefix_of_the_training(folder: Path) -> None:
    assert find_start_prefix(_make_model(prefix=["The fox", "b"]), folder) == "The fox"
    assert find_start_prefix(_make_model(prefix=["ROMEO:"], training={"prefix": ["ROMEO:"]}), folder) == "ROMEO:"
    assert find_start_prefix(_make_model(prefix=["0123"])) == "0123"


def test_a_line_of_the_priming(folder: Path) -> None:
    """In place of a start of the text that is no text."""
    for provenance in ({}, {"prefix": ["0123"], "training": {"prefix": []}}, {"prefix": 3, "training": []}):
        assert find_start_prefix(_make_model(**provenance), folder) == "It was the best of times, it was the"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", "0123"),
        (b"one line only", "0123"),
        (b"a\none\nword\n", "0123"),
        (b"a\n\xff \xff\n\x00 \x01\nsome text\n", "some text"),
        (b"a\n" + b"x" * 50 + b" y\nsome text\n", "some text"),
        (b"a\n" + b"x" * 37 + b" y zz\n", "x" * 37 + " y"),
        ("a\nein schöner Tag\r\n".encode(), "ein schöner Tag"),
    ],
)
def test_primings(text: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / PRIMING_FILE).write_bytes(Priming(text).to_bytes())
    assert find_start_prefix(_make_model(prefix=["0123"]), tmp_path) == found


def test_folders_without_a_valid_priming(tmp_path: Path) -> None:
    model = _make_model(prefix=["0123"])
    assert find_start_prefix(model, tmp_path) == "0123"
    (tmp_path / PRIMING_FILE).write_bytes(b"damaged")
    assert find_start_prefix(model, tmp_path) == "0123"
    assert find_start_prefix(model, tmp_path / PRIMING_FILE) == "0123"  # a checkpoint is a file
