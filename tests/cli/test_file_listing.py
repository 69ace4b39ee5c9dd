"""``--list``, which needs no model."""

from pathlib import Path

import pytest

from process import call


@pytest.fixture
def home(text_and_models: Path) -> Path:
    return text_and_models


def _cells(line: str) -> list[str]:
    return line.split()


def test_a_row_for_each_file_and_a_sum(home: Path) -> None:
    text = (home / "a.txt").read_bytes()
    call(home, "compress", "a.txt", "-m", "model").done()
    call(home, "compress", "a.txt", "-m", "other", "--by-line", "-o", "lines.loom").done()
    (home / "noise").write_bytes(bytes(range(256)))
    call(home, "compress", "noise", "-m", "model", "--fast").done()
    files = ("a.txt.loom", "lines.loom", "noise.loom")
    for command in ("compress", "decompress"):
        headings, *rows = call(home, command, "--list", *files).done().splitlines()
        assert _cells(headings) == ["compressed", "original", "ratio", "mode", "records", "model", "check", "name"]
        one, lines, noise, total = map(_cells, rows)
        size = (home / "a.txt.loom").stat().st_size
        assert one[:4] == [str(size), f"{len(text):,}", f"{len(text) / size:.3f}", "mixing"]
        assert lines[1:3] == ["?", "mixing"]
        assert lines[3] == "40"  # records
        assert (one[-3] == lines[-3]) is False  # two models
        assert noise[1:4] == ["256", f"{256 / (home / 'noise.loom').stat().st_size:.3f}", "stored"]
        assert total[-2:] == ["3", "files"]
        assert total[0] == f"{sum((home / name).stat().st_size for name in files):,}"


def test_joined_files(home: Path) -> None:
    call(home, "compress", "a.txt", "-m", "model").done()
    blob = (home / "a.txt.loom").read_bytes()
    (home / "two.loom").write_bytes(blob * 2)
    _, row = call(home, "decompress", "-l", "two.loom").done().splitlines()
    assert _cells(row)[:2] == [f"{2 * len(blob):,}", "4,160"]
    assert len(call(home, "decompress", "-lv", "two.loom").done().splitlines()) == 3


def test_files_that_cannot_be_listed_do_not_stop_the_others(home: Path) -> None:
    call(home, "compress", "a.txt", "-m", "model").done()
    (home / "short.loom").write_bytes((home / "a.txt.loom").read_bytes()[:-3])
    result = call(home, "compress", "-l", "short.loom", "missing", "a.txt", "a.txt.loom")
    assert result.status == 1
    errors = result.errors.splitlines()
    assert "short.loom: truncated" in errors[0]
    assert "missing: no such file" in errors[1]
    assert "a.txt: not a file compressed by charloom" in errors[2]
    assert [line.split()[-1] for line in result.out.splitlines()] == ["name", "a.txt.loom"]
    # No table of nothing.
    result = call(home, "compress", "-l", "missing")
    assert (result.status, result.out) == (1, "")
