"""``charloom generate --check-novelty``, as a real process if the process is the point."""

from pathlib import Path

import pytest

from conftest import SENTENCE
from process import PATIENCE, Result, call, start


def _lines(result: Result) -> list[str]:
    assert result.status == 0, result
    return result.errors.splitlines()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fox.txt").write_text(SENTENCE * 30)
    return tmp_path


def test_the_text_goes_to_standard_output_and_the_report_to_standard_error(char_model: Path, home: Path) -> None:
    """A memorized sentence is reported as copied in full."""
    common: list[str | Path] = ["generate", char_model, "--prefix", "the quick", "--num-chars", "60"]
    plain = call(home, *common).done()
    result = call(home, *common, "--check-novelty", "fox.txt")
    assert result.out == plain
    copied, ordinary, _, row = _lines(result)
    assert copied.startswith("Copied: 100.0 % of 60 characters")
    assert "stretches of 32 or more that stand in fox.txt; the longest has 60" in copied
    assert ordinary.startswith("Ordinary: of 2 chunks of that text itself, as long, 100.0 %")
    assert "fox.txt, line 1 (character 9)" in row
    assert row.endswith('"' + (SENTENCE * 3)[9:69].replace("\n", "\\n") + '"')


def test_several_samples_and_a_corpus_in_a_folder(char_model: Path, home: Path) -> None:
    (home / "books").mkdir()
    (home / "books" / "a.txt").write_text("nothing like it")
    (home / "books" / "b.txt").write_text("Chapter 1\n\n  brown fox jumps over\n")
    options = ["--temperature", "0.01", "--seed", "1", "--num-samples", "2", "--prefix", "the quick"]
    checks = ["--check-novelty", "books", "--min-copied-chars", "9"]
    result = call(home, "generate", char_model, "--num-chars", "40", *options, *checks)
    copied, ordinary, heading, row, note = _lines(result)
    assert result.out.startswith("--- sample 1 of 2 ---\nthe quick")
    assert copied.startswith("Copied: 52.5 % of 80 characters")
    assert "too short" in ordinary
    assert heading.split() == ["sample", "from", "length", "stands", "in", "stretch"]
    assert row.split()[:3] == ["1", "0", "21"]
    assert "books/b.txt, line 3 (character 28)" in row
    assert "not the text that the model was trained on (fox.txt, 1,320 long)" in note


def test_a_corpus_that_is_not_text(char_model: Path, home: Path) -> None:
    (home / "x").write_bytes(b"the \xff")
    message = call(home, "generate", char_model, "--check-novelty", "x").error()
    assert message.startswith("x: not UTF-8 at byte 4")
    assert message.endswith("; the model reads characters; one trained with --unit byte takes any file")


def test_a_model_that_was_trained_on_a_part_of_the_text(char_model: Path, home: Path) -> None:
    (home / "fox.txt").write_text(SENTENCE * 31)
    assert (
        "the first 1,320 of that text's 1,364"
        in _lines(call(home, "generate", char_model, "--num-chars", "5", "--check-novelty", "fox.txt"))[-1]
    )


def test_bytes_are_output_unchanged(byte_model: Path, tmp_path: Path) -> None:
    """The output to a pipe is the same as without the report."""
    (tmp_path / "file.bin").write_bytes(bytes(range(256)) * 8)
    options = ["--prefix", "\u00e9", "--num-chars", "300", "--power", "1", "--seed", "2"]
    common: list[str | Path] = ["generate", byte_model, *options]
    plain, checked = call(tmp_path, *common), call(tmp_path, *common, "--check-novelty", "file.bin")
    assert plain.raw_out == checked.raw_out
    copied, ordinary, *_ = _lines(checked)
    assert "of 300 bytes written" in copied
    assert "too short for chunks of this length" in ordinary
    several = call(
        tmp_path, *common, "--num-samples", "2", "--check-novelty", "file.bin", "--check-novelty", "file.bin"
    )
    assert "of 600 bytes written" in _lines(several)[0]


def test_a_named_corpus(char_model: Path, tmp_path: Path) -> None:
    """An empty sample has no copies."""
    result = call(tmp_path, "generate", char_model, "--num-chars", "9", "--check-novelty", "python-reference")
    assert "that stand in python-reference" in _lines(result)[0]
    result = call(tmp_path, "generate", char_model, "--num-chars", "0", "--check-novelty", "python-reference")
    assert "nothing was written" in _lines(result)[0]


def test_standard_input(char_model: Path, tmp_path: Path) -> None:
    result = call(tmp_path, "generate", char_model, "--check-novelty", "-", stdin=SENTENCE.encode() * 20)
    assert "standard input, line 1" in result.errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--check-novelty", "nowhere"], "nowhere: no such file, and no corpus of that name"),
        (["--check-novelty", ""], "empty"),
        (["--check-novelty", "empty.txt"], "empty.txt: empty"),
        (["--check-novelty", "binary"], "binary: text in UTF-16"),
        (["--check-novelty", "fox.txt", "--min-copied-chars", "0"], "--min-copied-chars is 0"),
        (["--min-copied-chars", "5"], "--min-copied-chars goes with --check-novelty"),
        (["--check-novelty", "fox.txt", "--num-chars", "3000000"], "at most 2,000,000 characters"),
    ],
)
def test_invalid_calls_end_before_any_output(options: list[str], message: str, char_model: Path, home: Path) -> None:
    (home / "empty.txt").write_text("")
    (home / "binary").write_bytes(b"\xff\xfe")
    result = call(home, "generate", char_model, *options)
    assert message in result.error(2 if {"--min-copied-chars", "--num-chars"} & {*options} else 1)
    assert result.out == ""


def test_a_closed_pipe_ends_it_silently(char_model: Path, home: Path) -> None:
    """No report is printed of a text that nobody read."""
    process = start(home, "generate", char_model, "--num-chars", "1000000", "--check-novelty", "fox.txt")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(10)
    process.stdout.close()
    with process.stderr as stream:
        errors = stream.read()
    assert (process.wait(timeout=PATIENCE), errors) == (0, b"")
