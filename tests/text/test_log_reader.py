"""Reading several logs: lines in order, sources that end, files that appear, standard input."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from charloom import CharloomWarning, CorpusError
from charloom.text.log_reader import LogReader


@pytest.fixture
def pipe() -> Iterator[int]:
    """Replaces standard input by a pipe; the test writes to this descriptor and closes it."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, mock.patch("sys.stdin", stream):
        yield writing


def _read_all(reader: LogReader) -> list[tuple[str, bytes]]:
    lines: list[tuple[str, bytes]] = []
    while not reader.is_at_end:
        lines += reader.read()
    return lines


def test_files_are_read_to_their_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n\xff")
    (tmp_path / "b").write_bytes(b"3\n")
    (tmp_path / "c").write_bytes(b"")
    a, b, c = (str(tmp_path / name) for name in "abc")
    reader = LogReader([a, b, c, a, f"{tmp_path}/./a"], follow=False)
    assert _read_all(reader) == [(a, b"1\n"), (a, b"2\n"), (b, b"3\n"), (a, b"\xff\n")]
    with pytest.raises(CorpusError, match="no such file"):
        LogReader([str(tmp_path / "none")], follow=False)


def test_an_incomplete_line_is_left_to_another_reader(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\nincompl")
    first = LogReader([str(path)], follow=False, leave_incomplete=True)
    assert first.num_bytes == (0, 11)
    assert [line for _, line in _read_all(first)] == [b"1\n", b"2\n"]
    assert first.num_bytes == (4, 4)
    with path.open("ab") as file:
        file.write(b"ete\nlast")
    second = LogReader([str(path)], follow=False, positions=first.positions)
    assert [line for _, line in _read_all(second)] == [b"incomplete\n", b"last\n"]


def test_standard_input_is_read_as_it_comes(pipe: int) -> None:
    reader = LogReader(["-"])
    os.write(pipe, b"1\n2")
    assert reader.read() == [("-", b"1\n")]
    assert reader.read() == []  # waits a moment only
    os.write(pipe, b"\n3")
    os.close(pipe)
    assert _read_all(reader) == [("-", b"2\n"), ("-", b"3\n")]


def test_files_beside_standard_input(pipe: int, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"old\n")
    reader = LogReader(["-", str(path)])

    def write_lines() -> None:
        for number in range(50):
            with path.open("ab") as file:
                file.write(f"file {number}\n".encode())
            os.write(pipe, f"pipe {number}\n".encode())

    writer = threading.Thread(target=write_lines)
    writer.start()
    lines: list[tuple[str, bytes]] = []
    while len(lines) < 100:
        lines += reader.read()
    writer.join()
    os.close(pipe)
    assert [line for source, line in lines if source == "-"] == [f"pipe {n}\n".encode() for n in range(50)]
    assert [line for source, line in lines if source != "-"] == [f"file {n}\n".encode() for n in range(50)]
    assert not reader.is_at_end  # the file may grow
    reader.__exit__()


def test_positions_continue(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\nincompl")
    first = LogReader([str(path)], from_start=True)
    assert [line for _, line in first.read()] == [b"1\n", b"2\n"]
    positions = first.positions
    first.__exit__()
    with path.open("ab") as file:
        file.write(b"ete\n")
    second = LogReader([str(path)], positions=positions)
    assert [line for _, line in second.read()] == [b"incomplete\n"]
    second.__exit__()
    path.unlink()
    path.write_bytes(b"another\n")
    with pytest.warns(CharloomWarning, match="may have been missed"):
        third = LogReader([str(path)], positions=positions)
    assert [line for _, line in third.read()] == [b"another\n"]
    third.__exit__()
