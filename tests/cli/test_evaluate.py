"""``charloom evaluate``, once as a real process."""

import io
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

import charloom
from charloom import LanguageModel, Surprisal
from charloom.cli.evaluate import show_lines
from charloom.settings.corpus import LineOrder
from process import call, run

_LINE = "the quick brown fox jumps over the lazy dog\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fox.log").write_text(_LINE * 12 + "the lazy dog jumps over the quick brown fox\n" + _LINE * 4)
    return tmp_path


def test_summary(home: Path, char_model: Path) -> None:
    """The table and the JSON agree; a memorized text has few bits per character; baselines are listed."""
    table = call(home, "evaluate", char_model, "fox.log").done()
    summary = json.loads(call(home, "evaluate", char_model, "fox.log", "--json").done())
    assert summary["num_chars"] == summary["num_bytes"] == 17 * len(_LINE) - 1
    assert summary["bits_per_char"] == pytest.approx(summary["nats_per_char"] / math.log(2))
    assert summary["perplexity"] == pytest.approx(math.exp(summary["nats_per_char"]))
    assert summary["bits_per_char"] < 1
    rows = {line.split("  ")[0]: line.split() for line in table.splitlines()}
    assert f"{summary['bits_per_char']:.4f}" in rows["this model"]
    assert f"{summary['baselines_bits_per_char']['xz -9e']:.4f}" in rows["xz -9e"]
    assert {"uniform", "unigram", "gzip -9"} < set(rows)
    assert "The state started at zero and was never reset" in table


def test_adaptive(home: Path, char_model: Path) -> None:
    """Beside the network; characters, lines and summary agree with each other and with the compressed file."""
    table = call(home, "evaluate", char_model, "fox.log", "--adaptive").done()
    summary = json.loads(call(home, "evaluate", char_model, "fox.log", "--adaptive", "--json").done())
    network = json.loads(call(home, "evaluate", char_model, "fox.log", "--json").done())
    rows = {line.split("  ")[0]: line.split() for line in table.splitlines()}
    assert f"{summary['bits_per_char']:.4f}" in rows["this model, adaptive"]
    assert f"{network['bits_per_char']:.4f}" in rows["network alone"]
    assert summary["baselines_bits_per_char"]["network alone"] == pytest.approx(network["bits_per_char"])
    assert summary["num_chars"] == 17 * len(_LINE)
    assert "learned from this text" in table
    call(home, "compress", "fox.log", "-m", char_model, "-o", "fox.loom").done()
    bits = summary["total_nats"] / math.log(2)
    assert 0 <= 8 * (home / "fox.loom").stat().st_size - bits < 8 * 40
    for option in ("--by-line", "--by-char"):
        result = call(home, "evaluate", char_model, "fox.log", "--adaptive", option)
        assert "this model, adaptive" in result.errors
        assert sum(json.loads(row)["bits"] for row in result.out.splitlines()) == pytest.approx(bits)
    assert "--unknown has no effect" in call(
        home, "evaluate", char_model, "fox.log", "--adaptive", "--unknown", "unk"
    ).error(2)
    (home / "x").write_text("☃")
    assert "this model, adaptive" in call(home, "evaluate", char_model, "x", "--adaptive").done()
    (home / "x").write_text("☃☃")
    assert "1 character as <unk>" in call(home, "evaluate", char_model, "x", "--adaptive").done()
    by_line = ["evaluate", str(char_model), "fox.log", "--adaptive", "--by-line", "--top", "1"]
    top, sorted_by_bits = call(home, *by_line), call(home, *by_line, "--sort", "bits")
    assert " 13 " in top.out.splitlines()[1]
    assert top.out == sorted_by_bits.out
    # Nothing of the text of this model was held out.
    assert "sorted by bits: rarity needs at least 20 lines" in top.errors
    assert "rarity needs" not in sorted_by_bits.errors


def test_independent(home: Path, char_model: Path) -> None:
    """The sum of the lines is the summary; the mode is shown, and contradictions are refused."""
    result = call(home, "evaluate", char_model, "fox.log", "--independent", "--by-line")
    assert "this model, independent" in result.errors
    assert "scored each line by itself" in result.errors
    rows = [json.loads(row) for row in result.out.splitlines()]
    assert sum(row["bits"] for row in rows) / (17 * len(_LINE)) == pytest.approx(
        float(result.errors.split("this model, independent")[1].split()[1]), abs=1e-4
    )
    top = call(home, "evaluate", char_model, "fox.log", "--independent", "--by-line", "--top", "1").out
    assert " 13 " in top.splitlines()[1]
    for options, message in {
        (): "--independent requires --by-line",
        ("--by-char",): "--independent requires --by-line",
        ("--by-line", "--adaptive"): "--adaptive and --independent contradict each other",
        ("--by-line", "--unknown", "skip"): "--unknown has no effect with --independent",
    }.items():
        assert message in call(home, "evaluate", char_model, "fox.log", "--independent", *options).error(2)


def test_short_and_very_surprising_texts(home: Path, char_model: Path, tmp_path: Path) -> None:
    """A baseline is not reported if it would measure only its headers; huge and infinite numbers are shown short."""
    (home / "short.txt").write_text("the")
    table = call(home, "evaluate", char_model, "short.txt").done()
    assert "unigram" in table
    assert "gzip -9" not in table
    assert "gzip and xz are not shown" in table
    assert "gzip and xz" not in call(home, "evaluate", char_model, "fox.log").done()
    model = LanguageModel.load(char_model)
    with torch.no_grad():
        model.output.bias[model.vocabulary.encode("e")] = -40.0
    model.save(tmp_path / "sure")
    assert max(map(len, call(home, "evaluate", tmp_path / "sure", "short.txt").done().split())) < 30
    with torch.no_grad():
        model.output.bias[model.vocabulary.encode("e")] = -1e5
    model.save(tmp_path / "surer")
    assert " inf" in call(home, "evaluate", tmp_path / "surer", "short.txt").done()


def test_by_line_and_by_char(home: Path, char_model: Path) -> None:
    summary = json.loads(call(home, "evaluate", char_model, "fox.log", "--json").done())
    total = summary["total_nats"] / math.log(2)
    lines = run(home, "evaluate", char_model, "-", "--by-line", stdin=(home / "fox.log").read_bytes())
    assert lines.status == 0, lines
    assert "this model" in lines.errors
    rows = [json.loads(line) for line in lines.out.splitlines()]
    assert [row["line"] for row in rows] == list(range(1, 18))
    assert rows[1]["text"] + "\n" == _LINE
    assert sum(row["bits"] for row in rows) == pytest.approx(total)
    chars = call(home, "evaluate", char_model, "fox.log", "--by-char")
    rows = [json.loads(line) for line in chars.out.splitlines()]
    assert rows[0] == {"char": 1, "bits": None, "text": "t"}
    assert "".join(row["text"] for row in rows) == (home / "fox.log").read_text()
    assert sum(row["bits"] for row in rows[1:]) == pytest.approx(total)


def test_baselines_measure_the_text_that_was_scored(home: Path, char_model: Path) -> None:
    """Skipped characters are skipped for all: otherwise a text full of them would make the model look good."""
    text = (home / "fox.log").read_text()
    (home / "noisy.log").write_text("".join(char + "ÄÖÜ"[i % 3] * (i % 5) for i, char in enumerate(text)))
    expected, found = (
        call(home, "evaluate", char_model, name, "--unknown", "skip", "--json").done()
        for name in ("fox.log", "noisy.log")
    )
    assert json.loads(found) == json.loads(expected)
    expected, found = (
        call(home, "evaluate", char_model, name, "--unknown", "skip").done() for name in ("fox.log", "noisy.log")
    )
    *table, protocol = expected.splitlines()
    skipped = sum(i % 5 for i in range(len(text)))
    assert found.splitlines() == [
        *table,
        protocol.replace("except the first was", "except the first and the skipped ones was"),
        f"{skipped:,} out-of-vocabulary characters were skipped.",
    ]
    (home / "one.log").write_text(text + "Ä")
    found = call(home, "evaluate", char_model, "one.log", "--unknown", "skip").done()
    assert found.endswith("\n1 out-of-vocabulary character was skipped.\n")


def test_the_least_likely_line_comes_first(home: Path, char_model: Path) -> None:
    result = call(home, "evaluate", char_model, "fox.log", "--by-line", "--top", "2")
    assert result.status == 0, result
    heading, first, _ = result.out.splitlines()
    assert heading.split() == ["line", "bits", "bits/char", "text"]
    assert first.split()[0] == "13"
    assert first.rstrip().endswith("the lazy dog jumps over the quick brown fox")


def test_a_byte_model_evaluates_any_file(byte_model: Path, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(bytes(range(255, -1, -1)))
    shown = call(tmp_path, "evaluate", byte_model, "other.bin").done()
    assert "255 bytes scored" in shown
    assert shown.count("bits/byte") == 1  # for a model of characters bits/char is printed, too


def test_an_infinite_perplexity_is_null_in_json(home: Path, char_model: Path) -> None:
    """JSON has no infinity; the history of a run uses null, too."""
    model = LanguageModel.load(char_model)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1e6)
    model.save(home / "sure")
    (home / "x.txt").write_text("xxxx")
    summary = call(home, "evaluate", home / "sure", "x.txt", "--json").done()
    assert json.loads(summary, parse_constant=pytest.fail)["perplexity"] is None


def test_what_cannot_be_evaluated(home: Path, char_model: Path) -> None:
    (home / "x.txt").write_text("t")
    assert "too short" in call(home, "evaluate", char_model, "x.txt").error()
    (home / "x.txt").write_text("THE")
    message = call(home, "evaluate", char_model, "x.txt").error()
    assert "'T' (position 0), 'H' (position 1)" in message
    assert "--unknown skip" in message
    assert "too short" in call(home, "evaluate", char_model, "x.txt", "--unknown", "skip").error()
    (home / "x.txt").write_bytes(b"the \xff")
    message = call(home, "evaluate", char_model, "x.txt").error()
    assert message == (
        "x.txt: not UTF-8 at byte 4 (0xff, line 1); the model reads characters; one trained with --unit byte accepts "
        "any file"
    )
    assert "--top requires --by-line" in call(home, "evaluate", char_model, "x.txt", "--top", "3").error(2)
    assert "pass only one" in call(home, "evaluate", char_model, "x.txt", "--by-line", "--by-char").error(2)


@pytest.mark.parametrize("options", [["--adaptive", "--by-line"], ["--independent", "--by-line"], ["--adaptive"]])
def test_the_mixture_scores_bytes_that_are_not_utf8(options: list[str], home: Path, char_model: Path) -> None:
    """The bits are those of the library and of the compressed file. A text in UTF-8 is scored by character."""
    data = (home / "fox.log").read_bytes() + b"the caf\xe9 \xc3\xa9\0 \xed\xa0\x80\xff"
    (home / "x.log").write_bytes(data)
    result = call(home, "evaluate", char_model, "x.log", *options)
    assert f"{len(data)} bytes scored" in result.errors + result.out
    assert "guessing uniformly among 256 tokens" in result.errors + result.out
    assert "7 characters as <unk>" in result.errors + result.out  # of the network alone: five bytes, an \u00e9, a NUL
    if "--by-line" in options:
        rows = [json.loads(row) for row in result.out.splitlines()]
        is_adaptive = options[0] == "--adaptive"
        _, lines = charloom.evaluate_lines(char_model, data, adaptive=is_adaptive, independent=not is_adaptive)
        assert [row["bits"] for row in rows] == [line.bits for line in lines]
        assert rows[-1]["text"] == r"the caf\xe9 é" + "\0" + r" \xed\xa0\x80\xff"
    piped = call(home, "evaluate", char_model, "-", *options, stdin=data)
    assert (piped.out, piped.errors) == (result.out, result.errors)
    (home / "x.log").write_bytes(b"\xef\xbb\xbf" + "the caf\xe9".encode())
    result = call(home, "evaluate", char_model, "x.log", *options)
    assert "9 characters scored" in result.errors + result.out, "the byte order mark is compressed, too"
    (home / "wide.log").write_bytes("the caf\xe9".encode("utf-16"))
    result = call(home, "evaluate", char_model, "wide.log", *options)
    assert (result.status, result.out) == (1, "")
    assert "text in UTF-16; convert it to UTF-8 first" in result.errors


def test_unknown_characters_make_surprising_lines(home: Path, char_model: Path) -> None:
    """By line they are counted and reported; otherwise, or if asked, they are refused."""
    with (home / "fox.log").open("a", encoding="utf-8") as file:
        file.write("the quick brown f\u2603x jumps over the lazy dog\n")
    result = call(home, "evaluate", char_model, "fox.log", "--by-line")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [row["num_unknown"] for row in rows] == [0] * 17 + [1]
    assert rows[-1]["bits"] > max(rows[i]["bits"] for i in range(12))
    assert "1 character out of vocabulary: each was scored with the probability of <unk>" in result.errors
    for options in ([], ["--by-char"], ["--json"], ["--by-line", "--unknown", "refuse"]):
        assert "U+2603" in call(home, "evaluate", char_model, "fox.log", *options).error()


def test_sorted_lines(home: Path, char_model: Path) -> None:
    rows = [json.loads(row) for row in call(home, "evaluate", char_model, "fox.log", "--by-line").out.splitlines()]
    for order in ("bits", "bits-per-char", "bits-per-word"):
        key = order.replace("-", "_")
        found = call(home, "evaluate", char_model, "fox.log", "--by-line", "--sort", order).out.splitlines()
        assert [json.loads(row) for row in found] == sorted(rows, key=lambda row: row[key], reverse=True)
        table = call(home, "evaluate", char_model, "fox.log", "--by-line", "--top", "3", "--sort", order).out
        assert [int(row.split()[0]) for row in table.splitlines()[1:]] == [json.loads(row)["line"] for row in found[:3]]


_LINES = st.lists(st.text("ab\t \u6f22\u0301\x1b", max_size=250), min_size=1, max_size=4)


@given(width=st.integers(20, 200), texts=_LINES, order=st.sampled_from(get_args(LineOrder)))
def test_number_and_score_fit_into_any_terminal(width: int, texts: list[str], order: Any) -> None:
    lines = [
        Surprisal(10**i, text + "\n", len(text) + 1, 700.0 * (i + 1), 0, 3.5 * (i + 1), 1.7 * (i + 1))
        for i, text in enumerate(texts)
    ]
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, soft_wrap=True)
    with console.capture() as captured:
        show_lines(console, lines, order)
    _, *rows = captured.get().split("\n")[:-1]
    assert len(rows) == len(lines)
    for line, row in zip(lines, rows, strict=True):
        score = {
            "bits": f"{line.bits:.1f}",
            "bits-per-char": f"{line.bits_per_char:.3f}",
            "bits-per-word": f"{line.bits_per_word:.1f}",
            "rarity": f"{line.rarity:.1f}",
        }[order]
        assert row.split()[:2] == [str(line.number), score]
        assert cell_len(row) <= width
        if line.text == "a" * 250 + "\n":
            assert row.endswith("\u2026")
