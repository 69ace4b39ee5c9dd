"""Reading a user's text: files, folders and standard input, piece by piece."""

import hashlib
import os
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from charloom.errors import CharloomWarning, CorpusError
from charloom.settings.corpus import Unit
from charloom.text.compressed_inputs import compression_of, decompressed
from charloom.text.decoding import decoded
from charloom.text.file_kinds import HEAD_BYTES, is_binary

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called now and then with the bytes read and the bytes there are, None where that is not known."""

STANDARD_INPUT = "-"
_LONGEST_NAME = 200
_MOST_NAMES = 5
_SETTLED_NANOSECONDS = 2_000_000_000
"""The coarsest clock of a file system's ticks once in this."""
_PIECE = 1 << 20
"""Bytes that are read at once."""


def read_sources(sources: Sequence[str | Path], unit: Unit) -> str | bytes:
    """The text of several files, folders (every file below, in order of name) or ``-``, one after the other.

    Files of characters that do not end with a line end get one, so that two files never share a line. Files whose name
    ends in ``.gz``, ``.xz`` or ``.zst`` are decompressed. Raises CorpusError for what is missing, unreadable, empty,
    damaged or not UTF-8.
    """
    pieces: Any = list(TextFiles(sources, unit).pieces())
    return (b"" if unit == "byte" else "").join(pieces)


class TextFiles:
    """The files of some sources, as a text that is read once, from beginning to end.

    A file that is named twice is read once, with a warning. In folders, models and runs of charloom are left out, and
    files that are not text if the unit is the character, with a warning that names and counts them.

    Attributes:
        name: All the sources' names.
        files: Their files.
        num_bytes: What they take, compressed where they are; None where one is no file with a size (a pipe).
        bytes_read: How much of that has been read.
        hint: The same for files that have not changed since; None if that cannot be told.
        settled: Whether ``hint`` will tell: a change in the same tick of the clock as the last would not be seen by it.
    """

    def __init__(self, sources: Sequence[str | Path], unit: Unit) -> None:
        """Finds them. Raises CorpusError for what is not there."""
        self.name = _names(sources)
        self._unit = unit
        self.files = _each_once(sources, unit)
        self._begin()
        found_at = time.time_ns()
        self._seen = seen = self.look()
        self.num_bytes = None if seen is None else sum(size for _, size, *_ in seen)
        self.hint = None if seen is None else hashlib.sha256(repr(seen).encode()).hexdigest()
        newest = max((moment for _, _, *times, _ in seen or [] for moment in times), default=0)
        self.settled = newest < found_at - _SETTLED_NANOSECONDS

    def look(self) -> list[tuple[str, int, int, int, int]] | None:
        """What tells that files are as they were, without reading them; None where nothing does."""
        seen = []
        for file in self.files:
            try:
                status = None if file == STANDARD_INPUT else Path(file).stat()
            except OSError as error:
                raise CorpusError(f"{file}: {_reason(error)}") from None
            if status is None or not stat.S_ISREG(status.st_mode):
                return None
            times = status.st_mtime_ns, status.st_ctime_ns
            seen.append((str(Path(file).absolute()), status.st_size, *times, status.st_ino))
        return seen

    @property
    def unchanged(self) -> bool:
        """Whether the files are still as they were found."""
        try:
            return self.look() == self._seen
        except CorpusError:
            return False

    @property
    def content(self) -> str:
        """SHA-256 of what has been read, and of how it is to be understood, hexadecimal."""
        return self._content.hexdigest()

    def pieces(self, progress: Progress | None = None) -> Iterator[Any]:
        """The text, in str or bytes, in pieces that are not empty. Raises CorpusError for a text that is."""
        self._begin()
        last: Any = ""
        for file in self.files:
            if self._unit == "char" and last and not last.endswith("\n"):
                yield (last := "\n")
            for last in self._text_of(file, progress):
                yield last
        if not last:
            raise CorpusError(f"{self.name}: empty; there is nothing to read")

    def parts(self) -> list[tuple[str, Any]]:
        """The text of each file, after its name; put together they are the whole. Raises CorpusError as ``pieces``."""
        parts: list[tuple[str, Any]] = []
        for file in self.files:
            empty: Any = b"" if self._unit == "byte" else ""
            text = empty.join(self._text_of(file))
            if parts and self._unit == "char" and parts[-1][1] and not parts[-1][1].endswith("\n"):
                parts[-1] = parts[-1][0], parts[-1][1] + "\n"
            parts.append((_names([file]), text))
        if not any(text for _, text in parts):
            raise CorpusError(f"{self.name}: empty; there is nothing to read")
        return parts

    def skim(self, progress: Progress | None = None) -> str:
        """Reads all files for ``content`` alone, several times as fast as for their text."""
        self._begin()
        for file in self.files:
            for _ in self._read(file, progress):
                pass
        return self.content

    def _begin(self) -> None:
        self.bytes_read, self._content = 0, hashlib.sha256()

    def _text_of(self, file: str | Path, progress: Progress | None = None) -> Iterator[Any]:
        data = decompressed(self._read(file, progress), str(file))
        return data if self._unit == "byte" else decoded(data, _names([file]))

    def _read(self, file: str | Path, progress: Progress | None) -> Iterator[bytes]:
        """The bytes of a file as they stand, counted and hashed."""
        # Whether two files are decompressed is part of what their text is.
        content = hashlib.sha256((compression_of(str(file)) or "").encode() + b"\n")
        try:
            for data in _read_in_pieces(file):
                content.update(data)
                self.bytes_read += len(data)
                yield data
                if progress is not None:
                    progress(self.bytes_read, self.num_bytes)
        finally:
            self._content.update(content.digest())


def _read_in_pieces(file: str | Path) -> Iterator[bytes]:
    try:
        with nullcontext(sys.stdin.buffer) if file == STANDARD_INPUT else Path(file).open("rb") as stream:
            while data := stream.read(_PIECE):
                yield data
    except OSError as error:
        raise CorpusError(f"{file}: {_reason(error)}") from None


def _files_of(source: str | Path, unit: Unit) -> list[str | Path]:
    if source == STANDARD_INPUT:
        return [STANDARD_INPUT]
    if not str(source):
        raise CorpusError("the name of a text is empty")
    path = Path(source)
    try:
        mode = path.stat().st_mode
        found = sorted(
            file for file in path.rglob("*") if file.is_file() and "/." not in f"/{file.relative_to(path).as_posix()}"
        )
    except (OSError, ValueError) as error:
        name = " ".join(str(getattr(error, "filename", None) or path).split())
        raise CorpusError(f"{name[:_LONGEST_NAME]}: {_reason(error)}") from None
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CorpusError(f"{path}: a device, not a file; use - for standard input")
    if not stat.S_ISDIR(mode):
        return [path]
    folders = {folder for file in found for folder in file.relative_to(path).parents}
    models = {folder for folder in folders if _is_model(path / folder)}
    if models:
        _warn_of(path, [str(path / folder) for folder in models], "a model or run of charloom", "models or runs")
    found = [file for file in found if not models.intersection(file.relative_to(path).parents)]
    if unit == "char":
        binary = [file for file in found if is_binary(_head(file))]
        if binary:
            _warn_of(path, [str(file) for file in binary], "a file that is not text", "files that are not text")
        found = [file for file in found if file not in set(binary)]
    if not found:
        raise CorpusError(f"{path}: no files in this folder" + (" that are text" if unit == "char" else ""))
    return list(found)


def _is_model(folder: Path) -> bool:
    return (folder / "model.safetensors").exists() or any(folder.glob("checkpoints/step-*.checkpoint"))


def _head(file: Path) -> bytes:
    """The first bytes of the text; of a file that cannot be read none, as reading it will say why."""
    try:
        return next(decompressed(_read_in_pieces(file), str(file)), b"")[:HEAD_BYTES]
    except CorpusError:
        return b""


def _each_once(sources: Sequence[str | Path], unit: Unit) -> list[str | Path]:
    """All files. One that is in two folders, or in a folder and named too, is there once; one named twice is twice."""
    files: list[str | Path] = []
    seen: dict[tuple[int, int], bool] = {}
    for source in sources:
        found = _files_of(source, unit)
        in_folder = found != [source] and found != [Path(source)]
        for file in found:
            if file == STANDARD_INPUT or not stat.S_ISREG((status := Path(file).stat()).st_mode):
                files.append(file)
                continue
            place = status.st_dev, status.st_ino
            if place in seen and (in_folder or seen[place]):
                warnings.warn(f"{file}: the same file is there twice, and is read once", CharloomWarning, stacklevel=3)
                continue
            seen[place] = in_folder
            files.append(file)
    return files


def _warn_of(folder: Path, left_out: list[str], one: str, several: str) -> None:
    names = ", ".join(sorted(left_out)[:_MOST_NAMES]) + (" ..." if len(left_out) > _MOST_NAMES else "")
    what = f"{one} is" if len(left_out) == 1 else f"{len(left_out)} {several} are"
    warnings.warn(f"{folder}: {what} left out: {names}", CharloomWarning, stacklevel=2)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)


def _names(sources: Sequence[str | Path]) -> str:
    return ", ".join("standard input" if source == STANDARD_INPUT else str(source) for source in sources)
