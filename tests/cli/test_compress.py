"""``charloom compress`` and ``decompress``: their effect on files, with a fake engine in place of a model's."""

import os
import pty
import random
import stat
from pathlib import Path

import pytest

from process import call

_TEXT = b"it was the best of times, it was the worst of times\n" * 40


@pytest.fixture
def home(text_and_models: Path) -> Path:
    return text_and_models


def _names(home: Path) -> list[str]:
    return sorted(file.name for file in home.iterdir() if file.is_file())


def test_round_trip(home: Path) -> None:
    """The output is written beside the input, which is kept; times and permissions are copied."""
    original = home / "a.txt"
    original.chmod(0o640)
    os.utime(original, (1_000_000_000, 1_100_000_000))
    assert call(home, "compress", "a.txt", "-m", "model").done() == ""
    assert _names(home) == ["a.txt", "a.txt.loom"]
    assert (home / "a.txt.loom").stat().st_size < len(_TEXT) // 4
    original.unlink()
    assert call(home, "decompress", "a.txt.loom", "-m", "model").done() == ""
    assert original.read_bytes() == _TEXT
    for name in ("a.txt", "a.txt.loom"):
        status = (home / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1_100_000_000)


def test_pipes(home: Path) -> None:
    for stdin in (_TEXT, b"", random.Random(1).randbytes(1000)):
        blob = call(home, "compress", "-", "-m", "model", stdin=stdin).raw_out
        assert call(home, "decompress", "-", "-m", "model", stdin=blob).raw_out == stdin
    assert call(home, "compress", "a.txt", "-m", "model", "-o", "-").raw_out.startswith(b"\xc7cl")
    call(home, "compress", "-", "-m", "model", "-o", "x", stdin=_TEXT).done()
    assert call(home, "decompress", "x", "-m", "model", "-o", "-").raw_out == _TEXT
    assert _names(home) == ["a.txt", "x"]


def test_remove_and_keep(home: Path) -> None:
    call(home, "compress", "a.txt", "-m", "model", "--remove").done()
    assert _names(home) == ["a.txt.loom"]
    call(home, "decompress", "a.txt.loom", "-m", "model", "-k").done()
    assert _names(home) == ["a.txt", "a.txt.loom"]
    call(home, "decompress", "a.txt.loom", "-m", "model", "--remove", "-f").done()
    assert _names(home) == ["a.txt"]
    assert "contradict" in call(home, "compress", "a.txt", "-m", "model", "-k", "--remove").error(2)
    assert "--remove requires" in call(home, "compress", "a.txt", "-m", "model", "--remove", "-o", "-").error(2)


def test_fast_threads_and_names(home: Path) -> None:
    (home / "big").write_bytes(random.Random(1).randbytes(1 << 20).hex().encode() * 3)
    for threads in ("1", "2"):
        call(home, "compress", "big", "-m", "model", "--fast", "--threads", threads, "-o", threads).done()
    assert (home / "1").read_bytes() == (home / "2").read_bytes()
    call(home, "decompress", "1", "-m", "model", "-o", "back").done()
    assert (home / "back").read_bytes() == (home / "big").read_bytes()
    assert "does not end in .loom" in call(home, "decompress", "1", "-m", "model").error()
    assert "--threads is -1" in call(home, "compress", "big", "-m", "model", "--threads", "-1").error(2)


def test_refusals(home: Path) -> None:
    """Each is one line; --force overrides some; no partial output is left and no input is lost."""
    call(home, "compress", "a.txt", "-m", "model").done()
    there = (home / "a.txt.loom").read_bytes()
    assert "a.txt.loom already exists: use --force" in call(home, "compress", "a.txt", "-m", "model").error()
    assert "already compressed" in call(home, "compress", "a.txt.loom", "-m", "model").error()
    assert "already compressed" in call(home, "compress", "-", "-m", "model", stdin=there).error()
    folder = "model: this is a folder; pass a file in it, or use --recursive"
    assert call(home, "compress", "model", "-m", "model").error() == folder
    assert call(home, "compress", "nothing", "-m", "model").error() == "nothing: no such file or directory"
    assert "/dev/null: this is a device" in call(home, "compress", "/dev/null", "-m", "model").error()
    assert (
        "input and output are the same file"
        in call(home, "compress", "a.txt", "-m", "model", "-o", "a.txt", "-f").error()
    )
    assert "model is a folder" in call(home, "compress", "a.txt", "-m", "model", "-o", "model", "-f").error()
    assert "--output names a single file" in call(home, "compress", "a.txt", "a.txt", "-m", "model", "-o", "x").error(2)
    assert "--output is empty" in call(home, "compress", "a.txt", "-m", "model", "-o", "").error(2)
    assert call(home, "compress", "a.txt", "-m", "nowhere").error().startswith("nowhere: no such model folder")
    assert call(home, "decompress", "a.txt.loom", "-m", "nowhere").error().startswith("nowhere: no such model folder")
    assert "not a file compressed by charloom" in call(home, "decompress", "a.txt", "-m", "model", "-o", "x").error()
    assert "a.txt already exists" in call(home, "decompress", "a.txt.loom", "-m", "model").error()
    assert "--model" in call(home, "compress", "a.txt").errors
    assert "--plot requires --report" in call(home, "compress", "a.txt", "-m", "model", "--plot", "x").error(2)
    assert call(home, "compress", "a.txt", "-m", "model", "--froce").status == 2
    assert _names(home) == ["a.txt", "a.txt.loom"]
    assert (home / "a.txt.loom").read_bytes() == there
    call(home, "compress", "a.txt.loom", "-m", "model", "-f").done()
    call(home, "compress", "a.txt", "-m", "model", "--force").done()
    assert _names(home) == ["a.txt", "a.txt.loom", "a.txt.loom.loom"]


def test_a_line_that_is_too_long_for_a_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charloom_codec.records.lines.MAX_RECORD", 10)
    message = call(home, "compress", "a.txt", "-m", "model", "--by-line").error()
    assert message == "a.txt: line 1 is longer than 10 bytes, the limit for a record; omit --by-line"
    assert _names(home) == ["a.txt"]


def test_the_remaining_files_are_processed_after_an_error(home: Path) -> None:
    (home / "b.txt").write_bytes(_TEXT[:300])
    result = call(home, "compress", "a.txt", "nothing", "b.txt", "-m", "model")
    assert result.error().startswith("nothing: ")
    assert _names(home) == ["a.txt", "a.txt.loom", "b.txt", "b.txt.loom"]
    (home / "a.txt.loom").write_bytes((home / "a.txt.loom").read_bytes()[:-1])
    result = call(home, "decompress", "a.txt.loom", "b.txt.loom", "-m", "model", "-f", "--remove")
    assert result.error().startswith("a.txt.loom: truncated")
    assert _names(home) == ["a.txt", "a.txt.loom", "b.txt"]


def test_no_binary_output_to_a_terminal(home: Path) -> None:
    controller, terminal = pty.openpty()
    try:
        place = os.ttyname(terminal)
        assert "not written to a terminal" in call(home, "compress", "a.txt", "-m", "model", "-o", place).error()
        call(home, "compress", "a.txt", "-m", "model", "-o", place, "-f").done()
        assert os.read(controller, 10).startswith(b"\xc7cl")
    finally:
        os.close(terminal)
        os.close(controller)


def test_output_to_a_special_file(home: Path) -> None:
    """It is written to, not replaced."""
    os.mkfifo(home / "pipe")
    reader = os.open(home / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        call(home, "compress", "a.txt", "-m", "model", "-o", "pipe").done()
        assert os.read(reader, 10).startswith(b"\xc7cl")
    finally:
        os.close(reader)
    call(home, "compress", "a.txt", "-m", "model", "-o", "/dev/null").done()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
