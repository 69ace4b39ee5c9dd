"""Readers of a user's text in chunks: files, folders and standard input."""

import hashlib
import itertools
import operator
import os
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TypeAlias

from charloom.errors import CharloomWarning, CorpusError
from charloom.settings.corpus import Unit
from charloom.text.chunks import join_chunks
from charloom.text.compressed_inputs import decompress
from charloom.text.decoding import HEAD_BYTES, decode_utf8, is_binary
from charloom_codec.io.standard_streams import STANDARD_INPUT

Progress: TypeAlias = Callable[[int, int | None], None]
"""Callback that receives the number of bytes read and the total, or None if the total is not known.

For named corpora, datasets and ``corpus_from`` it receives the number of tokens so far, and None."""

_MAX_PATH_CHARS = 200
_MAX_LISTED_FILES = 5
_SETTLED_NANOSECONDS = 2_000_000_000
"""Coarsest resolution of a file system's times, 2 s (FAT)."""
_CHUNK = 1 << 20
"""Number of bytes per read."""


def read_sources(sources: Sequence[str | Path], unit: Unit) -> str | bytes:
    """Returns the whole text of ``TextFiles``.

    Raises CorpusError if a file is missing, damaged or not UTF-8, or if the text is empty.
    """
    return join_chunks([chunk for _, chunk in TextFiles(sources, unit).chunks()], unit)


def read_any_bytes(sources: Sequence[str | Path], unit: Unit) -> str | bytes:
    """Returns the whole text of ``TextFiles``, as bytes if it is not UTF-8: for uses that need no characters.

    Raises CorpusError if a file is missing or damaged, or if the text is empty.
    """
    text = join_chunks([chunk for _, chunk in TextFiles(sources, unit, any_bytes=True).chunks()], unit)
    if isinstance(text, str) and any("\udc80" <= character <= "\udcff" for character in set(text)):
        return text.encode("utf-8", "surrogateescape")
    return text


class TextFiles:
    """A text in files, folders (all files below except hidden ones, sorted by name) and standard input (``-``).

    If the unit is the character, a line feed is inserted after a file that does not end with one and is followed by
    another file, so that two files never share a line. ``.gz``, ``.xz`` and ``.zst`` files are decompressed. A file
    that is found a second time in a folder is read once, with a warning. In folders, models and runs of charloom are
    skipped, as are files that are not text if the unit is the character; a warning counts them and names the first few.

    Attributes:
        name: Names of the sources, comma-separated.
        num_bytes: Total size of the files, compressed if they are; None if one has no size (a pipe).
        version: Hash of the files' names, sizes, times and inodes, which differs once a file has changed. None if a
            change could go undetected: for a pipe, and for a file so recent that a second change could leave its times
            the same.
    """

    def __init__(self, sources: Sequence[str | Path], unit: Unit, *, any_bytes: bool = False) -> None:
        """Finds the files. Raises CorpusError if one is missing or a device, or if a folder contains none.

        Args:
            sources: Files, folders and ``-``.
            unit: Unit of the text.
            any_bytes: True to accept files that are not UTF-8 if the unit is the character, as in ``decode_utf8``.
        """
        self.name = _join_names(sources)
        self._unit = unit
        self._any_bytes = any_bytes
        self._files = _find_all_files(sources, unit)
        # A file written within the clock's last tick could be written again without a change of its times.
        settled_before = time.time_ns() - _SETTLED_NANOSECONDS
        self._found = found = _read_file_stats(self._files)
        self.num_bytes = None if found is None else sum(size for size, *_ in found)
        self.version: str | None = None
        if found is not None and all(max(times) < settled_before for _, _, *times in found):
            # Absolute, since a relative name is another file in another working folder.
            names = [str(Path(file).absolute()) for file in self._files]
            self.version = hashlib.sha256(repr((names, found)).encode()).hexdigest()

    @property
    def has_changed(self) -> bool:
        """True if a file has changed since it was found; False if this cannot be determined, as for a pipe."""
        try:
            return self._found is not None and _read_file_stats(self._files) != self._found
        except CorpusError:  # a file was removed
            return True

    def parts(self) -> list[tuple[str, str | bytes]]:
        """Returns (name, text) of each file that is not empty; the texts joined are the whole text.

        A line feed that was inserted after a file is part of its text.
        """
        by_file = itertools.groupby(self.chunks(), operator.itemgetter(0))
        return [
            (_join_names([self._files[n]]), join_chunks([text for _, text in chunks], self._unit))
            for n, chunks in by_file
        ]

    def chunks(self, progress: Progress | None = None) -> Iterator[tuple[int, str | bytes]]:
        """Reads the text in one pass: yields the index of a file, from 0, and a chunk of it, never empty.

        Can be called again for files, but not for standard input, which is then empty. An inserted line feed has the
        index of the file before it.

        Raises CorpusError if a file cannot be read, is damaged or not valid in the unit, or if the whole text is empty.
        """
        bytes_read = 0

        def count(data: bytes) -> bytes:
            nonlocal bytes_read
            bytes_read += len(data)
            if progress is not None:
                progress(bytes_read, self.num_bytes)
            return data

        last: str | bytes = ""
        for number, file in enumerate(self._files):
            if isinstance(last, str) and last and not last.endswith("\n"):
                yield number - 1, (last := "\n")  # counted as text of the file without it
            data = decompress(map(count, _read_in_chunks(file)), str(file))
            texts: Iterator[str] | Iterator[bytes] = (
                data if self._unit == "byte" else decode_utf8(data, _join_names([file]), any_bytes=self._any_bytes)
            )
            for last in texts:
                yield number, last
        if not last:
            raise CorpusError(f"{self.name}: empty; there is nothing to read")


def _read_file_stats(files: Sequence[str | Path]) -> list[tuple[int, int, int, int]] | None:
    """Returns size, inode and times of each file, by which a change is detected; None if one is not a regular file."""
    facts = []
    for file in files:
        try:
            status = None if file == STANDARD_INPUT else Path(file).stat()
        except OSError as error:
            raise CorpusError(f"{file}: {_describe_error(error)}") from None
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        # The inode detects a file that was replaced by one with the same size and time of modification.
        facts.append((status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
    return facts


def _read_in_chunks(file: str | Path) -> Iterator[bytes]:
    """Yields the bytes of a file, not decompressed. Raises CorpusError if it cannot be read."""
    try:
        with nullcontext(sys.stdin.buffer) if file == STANDARD_INPUT else Path(file).open("rb") as stream:
            while data := stream.read(_CHUNK):
                yield data
    except OSError as error:
        raise CorpusError(f"{file}: {_describe_error(error)}") from None


def _find_files(source: str | Path, unit: Unit) -> list[str | Path]:
    if source == STANDARD_INPUT:
        return [STANDARD_INPUT]
    if not str(source):
        raise CorpusError("the file name is empty")
    path = Path(source)
    try:
        mode = path.stat().st_mode
        # Hidden files and folders are skipped: .git, .ipynb_checkpoints, .DS_Store.
        found = sorted(
            file for file in path.rglob("*") if file.is_file() and "/." not in f"/{file.relative_to(path).as_posix()}"
        )
    except (OSError, ValueError) as error:
        # ValueError: a NUL character in the name.
        name = " ".join(str(getattr(error, "filename", None) or path).split())
        raise CorpusError(f"{name[:_MAX_PATH_CHARS]}: {_describe_error(error)}") from None
    # Devices such as /dev/zero or a terminal may have no end.
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CorpusError(f"{path}: this is a device, not a file; pass a file, or - for standard input")
    if not stat.S_ISDIR(mode):
        return [path]
    # Output of charloom in a folder of texts (such as the current one) must not become training text.
    folders = {folder for file in found for folder in file.relative_to(path).parents}
    models = {folder for folder in folders if _is_model_or_run(path / folder)}
    if models:
        _warn_skipped(
            path, [str(path / folder) for folder in models], "a charloom model or run", "charloom models or runs"
        )
    found = [file for file in found if not models.intersection(file.relative_to(path).parents)]
    if unit == "char":
        binary = [file for file in found if is_binary(_read_head(file))]
        if binary:
            _warn_skipped(path, [str(file) for file in binary], "a file that is not text", "files that are not text")
        found = [file for file in found if file not in set(binary)]
    if not found:
        raise CorpusError(f"{path}: this folder contains no {'text files' if unit == 'char' else 'files'}")
    return list(found)


def _is_model_or_run(folder: Path) -> bool:
    """Returns whether a folder contains a model's weights or a run's checkpoints."""
    # A run that has not saved a model yet has checkpoints only.
    return (folder / "model.safetensors").exists() or any(folder.glob("checkpoints/step-*.checkpoint"))


def _read_head(file: Path) -> bytes:
    """Returns the first bytes of a file, decompressed; none if it cannot be read."""
    try:
        return next(decompress(_read_in_chunks(file), str(file)), b"")[:HEAD_BYTES]
    except CorpusError:  # raised again when the whole file is read
        return b""


def _find_all_files(sources: Sequence[str | Path], unit: Unit) -> list[str | Path]:
    """Returns all files of the sources.

    A file found in two folders, or in a folder and by its name, is returned once; a file named twice is returned twice.
    """
    files: list[str | Path] = []
    # By device and inode, which links share: True if the file was found in a folder.
    seen: dict[tuple[int, int], bool] = {}
    for source in sources:
        found = _find_files(source, unit)
        in_folder = found != [source] and found != [Path(source)]
        for file in found:
            if file == STANDARD_INPUT or not stat.S_ISREG((status := Path(file).stat()).st_mode):
                files.append(file)
                continue
            place = status.st_dev, status.st_ino
            if place in seen and (in_folder or seen[place]):
                warnings.warn(f"{file}: the same file appears twice; it is read once", CharloomWarning, stacklevel=3)
                continue
            seen[place] = in_folder
            files.append(file)
    return files


def _warn_skipped(folder: Path, skipped: list[str], one: str, several: str) -> None:
    """Warns of the skipped files or folders, at least one.

    ``one`` describes a single one ("a file"), ``several`` more than one, without the number ("files").
    """
    names = ", ".join(sorted(skipped)[:_MAX_LISTED_FILES]) + (" ..." if len(skipped) > _MAX_LISTED_FILES else "")
    what = one if len(skipped) == 1 else f"{len(skipped)} {several}"
    warnings.warn(f"{folder}: skipped {what}: {names}", CharloomWarning, stacklevel=2)


def _describe_error(error: Exception) -> str:
    """Returns the system's text for an OSError's number, in lowercase; else the error's message."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)


def _join_names(sources: Sequence[str | Path]) -> str:
    """Returns all names, separated by commas, with "standard input" for ``-``."""
    return ", ".join("standard input" if source == STANDARD_INPUT else str(source) for source in sources)
