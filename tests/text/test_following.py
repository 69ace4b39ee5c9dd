"""Following files: every line once and in order, whatever happens to the file between two reads."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from charloom import InputError
from charloom.text import following
from charloom.text.following import MAX_LINE, FollowedFile, LineSplitter, Position


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"x", b"\n")), max_size=10))
def test_splitter_yields_the_lines_in_any_division(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    whole = b"".join(chunks)
    assert b"".join(lines) == whole[: len(whole) - splitter.num_pending]
    rest = splitter.finish()
    assert b"".join([*lines, *rest]) == whole + (b"" if whole.endswith(b"\n") or not whole else b"\n")
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert (splitter.num_pending, splitter.finish()) == (0, [])


def test_splitter_cuts_long_lines_in_bounded_memory() -> None:
    splitter = LineSplitter()
    for _ in range(160):
        assert splitter.feed(b"a" * 65_536) == []
    assert splitter.num_pending == 160 * 65_536
    assert splitter.feed(b"b\nshort\n") == [b"a" * (MAX_LINE - 1) + b"\n", b"short\n"]


def _read_all(file: FollowedFile) -> list[bytes]:
    lines: list[bytes] = []
    while more := file.read():
        lines += more
    return lines


class LogLife(RuleBasedStateMachine):
    """A log that is written, rotated, truncated, removed and followed by a watch that restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.environ["FOLLOWING_FOLDER"])
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.path = self.folder / "app.log"
        self.count = self.rotations = self.writes = 0
        self.has_partial = self.is_missing_position = False
        self.expected: list[bytes] = []
        self.read: list[bytes] = []
        self.followed = FollowedFile(self.path, from_start=True)

    @rule(count=st.integers(1, 4))
    def write_lines(self, count: int) -> None:
        for _ in range(count):
            self._write(f"line {self.count}\n".encode())

    @rule()
    def write_partial(self) -> None:
        self._write(b"part")

    @rule()
    def rotate(self) -> None:
        """Renames the file and writes to a new one (logrotate), whether or not its lines were read."""
        if self.path.exists():
            if self.followed.position is None:
                self._follow()  # files from before the start are not read
            self.rotations += 1
            self.path.rename(self.folder / f"app.log.{self.rotations}")
            self._end_partial()
            self._write(b"after rotation\n")

    @rule()
    def truncate(self) -> None:
        """Truncates the file after its lines were read (copytruncate)."""
        self._follow()
        if self.path.exists() and self.path.stat().st_size:
            os.truncate(self.path, 0)
            self._set_time()
            self._follow()
            self._end_partial()

    @rule()
    def restart(self) -> None:
        """Only whole lines count as read: the position is before an incomplete one."""
        position = self.followed.position
        self.followed.close()
        self.followed = FollowedFile(self.path, from_start=True, position=position)
        assert not self.followed.missed

    @rule()
    def follow(self) -> None:
        self._follow()

    def _write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)
        self._set_time()
        if data.endswith(b"\n"):
            self.count += 1
        if self.has_partial and self.expected:
            self.expected[-1] += data
        else:
            self.expected.append(data)
        self.has_partial = not data.endswith(b"\n")

    def _set_time(self) -> None:
        """Sets the time of the last write: the steps of a file system's clock may be longer than this test."""
        self.writes += 1
        os.utime(self.path, ns=(0, self.writes))

    def _end_partial(self) -> None:
        if self.has_partial:
            self.expected[-1] += b"\n"
            self.has_partial = False

    def _follow(self) -> None:
        self.read += _read_all(self.followed)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.read == self.expected[: len(self.read)]

    def teardown(self) -> None:
        self._follow()
        self._follow()
        complete = self.expected[: len(self.expected) - self.has_partial]
        assert self.read == complete
        self.followed.close()


LogLife.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)


Follow: TypeAlias = Callable[..., FollowedFile]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Opens files as ``FollowedFile`` does, and closes them after the test."""
    with contextlib.ExitStack() as stack:

        def open_file(path: Path, *, from_start: bool = True, position: Position | None = None) -> FollowedFile:
            return stack.enter_context(contextlib.closing(FollowedFile(path, from_start=from_start, position=position)))

        yield open_file


def test_each_line_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLLOWING_FOLDER", str(tmp_path / "life"))
    # Small chunks: several reads for a line.
    monkeypatch.setattr(following, "_CHUNK", 7)
    LogLife.TestCase().runTest()


def test_only_new_lines(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"old\n" * 100_000 + b"incompl")
    followed = follow(path, from_start=False)
    assert followed.read() == []
    with path.open("ab") as file:
        file.write(b"ete\nnew\n")
    assert followed.read() == [b"incomplete\n", b"new\n"]


def test_byte_order_mark(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"\xef\xbb\xbffirst\n\xef\xbb\xbfsecond\n")
    followed = follow(path)
    assert followed.read() == [b"first\n", b"\xef\xbb\xbfsecond\n"]
    assert follow(path, position=followed.position).read() == []


def test_missing_file_that_appears(tmp_path: Path, follow: Follow) -> None:
    followed = follow(tmp_path / "later" / "app.log", from_start=False)
    assert followed.read() == []
    assert followed.position is None
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "app.log").write_bytes(b"first\n")
    assert followed.read() == [b"first\n"]


def test_lines_that_are_written_after_the_rotation(tmp_path: Path, follow: Follow) -> None:
    """A program keeps its file open for a while."""
    path = tmp_path / "app.log"
    with path.open("ab", buffering=0) as old:
        old.write(b"1\n")
        followed = follow(path)
        assert followed.read() == [b"1\n"]
        path.rename(tmp_path / "app.log.1")
        old.write(b"2\n")
        assert followed.read() == [b"2\n"]
        path.touch()
        old.write(b"3\n")
        assert followed.read() == [b"3\n"]
    path.write_bytes(b"4\n")
    assert _read_all(followed) == [b"4\n"]


def test_position_in_a_file_that_was_rotated_meanwhile(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    followed = follow(path)
    assert followed.read() == [b"1\n", b"2\n"]
    position = followed.position
    followed.close()
    with path.open("ab") as file:
        file.write(b"3\n")
    path.rename(tmp_path / "app.log.1")
    path.write_bytes(b"4\n")
    resumed = follow(path, from_start=False, position=position)
    assert not resumed.missed
    assert _read_all(resumed) == [b"3\n", b"4\n"]


def test_position_that_is_gone(tmp_path: Path, follow: Follow) -> None:
    """Another file, even with the same inode and a sufficient size, is read from its start."""
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    followed = follow(path)
    followed.read()
    position = followed.position
    followed.close()
    path.write_bytes(b"3\n4\n5\n")  # the same inode
    resumed = follow(path, from_start=False, position=position)
    assert resumed.missed
    assert _read_all(resumed) == [b"3\n", b"4\n", b"5\n"]


def test_refusals(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(InputError, match="not a regular file"):
            FollowedFile(tmp_path / name, from_start=True)
