"""Lines of files that grow: following through rotation, truncation and absence, as ``tail -F`` does."""

import codecs
import math
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charloom.errors import InputError, describe_os_error
from charloom_codec.io.tensor_files import open_regular

MAX_LINE = 1 << 16
"""Maximum bytes of a line, including its line feed: the rest of a longer line is discarded."""
_CHUNK = 1 << 18
_MARK = 256
"""Bytes before a position that identify the file there."""


class LineSplitter:
    """Splits chunks of a stream into lines, in bounded memory."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._is_discarding = False
        self.num_pending = 0
        """Number of bytes since the last line feed, including discarded ones."""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the lines that the next chunk completes, each with its line feed."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._append(part)
            lines.append(self._take())
        if rest:
            self._append(rest)
        self.num_pending = self.num_pending + len(data) if not ended else len(rest)
        return lines

    def finish(self) -> list[bytes]:
        """Returns the incomplete last line with a line feed, if there is one, and starts again."""
        lines = [self._take()] if self.num_pending else []
        self.num_pending = 0
        return lines

    def _append(self, part: bytes) -> None:
        self._partial += part[: MAX_LINE - 1 - len(self._partial)]

    def _take(self) -> bytes:
        line = bytes(self._partial) + b"\n"
        self._partial.clear()
        return line


@dataclass(frozen=True)
class Position:
    """Position in a file up to which its lines were read.

    Attributes:
        device: Number of the file's device.
        inode: Number of the file on the device.
        offset: Bytes before the position.
        checksum: CRC-32 of the last bytes before the position: another file may get the same number later.
    """

    device: int
    inode: int
    offset: int
    checksum: int


class FollowedFile:
    """A log file that grows, is rotated (renamed or removed, and created again) or truncated, or does not exist yet.

    Attributes:
        missed: True if a stored position was not found: its file was removed, or rotated and compressed.
    """

    def __init__(self, path: Path, *, from_start: bool, position: Position | None = None) -> None:
        """Opens the file, if it exists.

        Args:
            path: Path of the file.
            from_start: Read the lines that the file has already; otherwise only new ones.
            position: Position at which reading continues, in this file or in a file of the same folder to which it was
                renamed. ``from_start`` is then ignored.

        Raises:
            InputError: The path is not a regular file, or cannot be read.
        """
        self.path = path
        self.missed = False
        self._file: BinaryIO | None = None
        self._splitter = LineSplitter()
        try:
            if position is not None:
                self.missed = not self._resume(position)
            elif self._open() and not from_start:
                assert self._file is not None
                # From the start of a line: part of one would look unusual.
                self._file.seek(_find_last_line(self._file))
        except OSError as error:
            raise InputError(f"{path}: {describe_os_error(error)}") from None

    def read(self) -> list[bytes]:
        """Returns lines that were added since the last call, each with its line feed; none if there are none yet.

        An incomplete line waits for its end, unless the file was rotated or truncated. Returns part of the lines if
        there are many: call again until there are none.

        Raises:
            InputError: The file cannot be read.
        """
        try:
            if self._file is None and not self._open():
                return []
            assert self._file is not None
            if lines := self._read_lines(self._file):
                return lines
            if os.fstat(self._file.fileno()).st_size < self._file.tell():
                lines = self._splitter.finish()
                self._file.seek(0)
                return lines + self._read_lines(self._file)
            return self._switch_if_rotated()
        except PermissionError:
            return []  # a program may create its file first, and set the permissions then
        except OSError as error:
            raise InputError(f"{self.path}: {describe_os_error(error)}") from None

    def finish(self) -> list[bytes]:
        """Returns the incomplete last line, if there is one."""
        return self._splitter.finish()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def position(self) -> Position | None:
        """Position after the last complete line; None if there is no file."""
        if self._file is None:
            return None
        found = os.fstat(self._file.fileno())
        offset = self._file.tell() - self._splitter.num_pending
        return Position(found.st_dev, found.st_ino, offset, _compute_checksum(self._file, offset))

    @property
    def num_unread(self) -> int:
        """Number of bytes after the last complete line; 0 if there is no file."""
        if self._file is None:
            return 0
        return os.fstat(self._file.fileno()).st_size - self._file.tell() + self._splitter.num_pending

    def _read_lines(self, file: BinaryIO) -> list[bytes]:
        lines: list[bytes] = []
        # Until a line ends: a long one takes several chunks.
        while not lines:
            is_start = file.tell() == 0
            if not (data := file.read(_CHUNK)):
                break
            # Programs on Windows start a file with a byte order mark, which is not part of its first line.
            lines = self._splitter.feed(data.removeprefix(codecs.BOM_UTF8) if is_start else data)
        return lines

    def _switch_if_rotated(self) -> list[bytes]:
        """Opens the next file if the file was rotated, and the next one has text; returns the last old lines."""
        assert self._file is not None
        following = self._open_next(os.fstat(self._file.fileno()))
        if following is None:
            return []
        # Once more, for lines that were written between the last read and the rotation.
        lines: list[bytes] = []
        while more := self._read_lines(self._file):
            lines += more
        lines += self._splitter.finish()
        self.close()
        self._file = following
        return lines + self._read_lines(following)

    def _open_next(self, finished: os.stat_result) -> BinaryIO | None:
        """Opens the file that continues a finished one; returns None if there is none yet."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        if os.path.samestat(found, finished):
            return None
        # The log may have been rotated more than once since the finished file was read.
        if (rotated := _open_rotated_after(finished, self.path)) is not None:
            return rotated
        # An empty new file shows nothing: the program may still write to the old one.
        return open_regular(self.path) if found.st_size else None

    def _resume(self, position: Position) -> bool:
        """Opens the file that has the position, under its name or another one; returns False if there is none."""
        for path in (self.path, *_find_siblings(self.path)):
            if self._open(path):
                assert self._file is not None
                found = os.fstat(self._file.fileno())
                if (
                    (found.st_dev, found.st_ino) == (position.device, position.inode)
                    and found.st_size >= position.offset
                    and _compute_checksum(self._file, position.offset) == position.checksum
                ):
                    self._file.seek(position.offset)
                    return True
                self.close()
        return False

    def _open(self, path: Path | None = None) -> bool:
        """Opens the file; returns False if it does not exist. Raises OSError if it cannot be opened."""
        try:
            self._file = open_regular(path or self.path)
        except FileNotFoundError:
            return False
        return True


def _find_last_line(file: BinaryIO) -> int:
    """Returns the position after the last line feed of a file."""
    end = os.fstat(file.fileno()).st_size
    while end > 0:
        start = max(0, end - _CHUNK)
        found = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _compute_checksum(file: BinaryIO, offset: int) -> int:
    start = max(0, offset - _MARK)
    return zlib.crc32(os.pread(file.fileno(), offset - start, start))


def _open_rotated_after(finished: os.stat_result, path: Path) -> BinaryIO | None:
    """Opens the rotated file of a log that was the next one after a finished one; returns None if there is none."""
    number = r"[-._]\d[-._:T\d]*"
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    # log.1 and log-20260101, but also log-20260101.txt; neither a compressed file nor the log of another program
    pattern = re.compile(f"{stem}{suffix}{number}|{stem}{number}{suffix}")
    following: BinaryIO | None = None
    oldest = math.inf
    for other in _find_siblings(path):
        if not pattern.fullmatch(other.name):
            continue
        try:
            file = open_regular(other)
        except OSError:  # rotated again meanwhile, or not readable
            continue
        # Of the open file: its name may be that of another one by now.
        found = os.fstat(file.fileno())
        # A log is written to until it is rotated, so that the files have the order of their last writes.
        if finished.st_mtime_ns < found.st_mtime_ns < oldest and not os.path.samestat(found, finished):
            if following is not None:
                following.close()
            following, oldest = file, found.st_mtime_ns
        else:
            file.close()
    return following


def _find_siblings(path: Path) -> Iterator[Path]:
    """Yields the other regular files of the folder whose names start as a rotated log's does."""
    if path.parent.is_dir():
        # log.1 and log-20260101, but also log.1.txt
        for other in sorted(path.parent.iterdir()):
            if other != path and other.name.startswith(path.stem) and other.is_file():
                yield other
