"""Logs that are rotated several times between two reads: the files in between are read in their order."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from charloom.text import following
from charloom.text.following import FollowedFile

Follow: TypeAlias = Callable[[Path], FollowedFile]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Opens files from their start, and closes them after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(contextlib.closing(FollowedFile(path, from_start=True)))


def _read_all(file: FollowedFile) -> list[bytes]:
    lines: list[bytes] = []
    while more := file.read():
        lines += more
    return lines


def _rotate_by_number(path: Path) -> None:
    """Renames log.1 to log.2 and log to log.1, as logrotate and RotatingFileHandler do."""
    for number in range(8, 0, -1):
        rotated = path.with_name(f"{path.name}.{number}")
        if rotated.exists():
            rotated.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


def test_several_rotations_between_two_reads(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "app.log"
    followed = None
    for number in range(1, 6):
        path.write_bytes(f"{number}\n".encode())
        os.utime(path, ns=(0, number))
        if number == 2:
            followed = follow(path)
            assert followed.read() == [b"2\n"]
        if number < 5:
            _rotate_by_number(path)
    assert followed is not None
    # Another program's log, and a file that was compressed meanwhile, though newer.
    for name in ("app.error.log", "app-2.log.gz", "app.log.9.gz", "application.log.1"):
        (tmp_path / name).write_bytes(b"no\n")
        os.utime(tmp_path / name, ns=(0, 4))
    assert _read_all(followed) == [b"3\n", b"4\n", b"5\n"]


@pytest.mark.parametrize(
    "name", ["app.log.1", "app.log-20260102", "app-20260102.log", "app.log.2026-01-02_12", "app.1.log"]
)
def test_names_of_rotated_files(tmp_path: Path, follow: Follow, name: str) -> None:
    path = tmp_path / "app.log"
    for number, (data, new_name) in enumerate([(b"1\n", "first"), (b"2\n", name), (b"3\n", "app.log")]):
        path.write_bytes(data)
        os.utime(path, ns=(0, number))
        if number == 0:
            followed = follow(path)
        path.rename(tmp_path / new_name)
    assert _read_all(followed) == [b"1\n", b"2\n", b"3\n"]


def test_program_that_writes_to_its_renamed_file_after_the_check(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's own new name is not that of the next file, though its time is newer than at the check."""
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n")
    assert (followed := follow(path)).read() == [b"1\n"]
    path.rename(tmp_path / "app.log.1")
    path.touch()
    found = following._find_siblings

    def write_first(path: Path) -> Iterator[Path]:
        with (tmp_path / "app.log.1").open("ab") as file:
            file.write(b"2\n")
        os.utime(tmp_path / "app.log.1", ns=(0, 2**62))
        return found(path)

    monkeypatch.setattr(following, "_find_siblings", write_first)
    assert followed.read() == []
    monkeypatch.undo()
    assert _read_all(followed) == [b"2\n"]
