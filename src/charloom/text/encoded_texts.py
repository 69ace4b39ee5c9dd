"""Encoded texts in the cache folder: a long text is encoded once, and found again by what it is.

Each is two files, ``KEY.ids`` (the numbers, nothing else) and ``KEY.json`` (what they mean), where KEY is a hash of the
text's content and of how it was read. Files that have not changed since are known by name, size, times and inode,
without being read; others by their content. Nothing that is found is trusted before its checksum has been verified.
"""

import contextlib
import json
import os
import tempfile
import time
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

from charloom.io.atomic import write_whole
from charloom.io.lock import FolderLock
from charloom.settings.corpus import Unit
from charloom.text import encoding
from charloom.text.cache_folder import cache_folder
from charloom.text.clean_up import CleanUp
from charloom.text.encoding import EncodedText
from charloom.text.sources import Progress, TextFiles
from charloom.text.stored_ids import FileNumbers

_FORMAT_VERSION = 1
_READ_AT_ONCE = 1 << 22
_STALE_SECONDS = 24 * 3600
_WRITTEN_TO_SECONDS = 600
"""Within which a file that is being written changes."""
_UNUSED_SECONDS = 60 * 24 * 3600
_UNFINISHED = ".encoding-"
_MOST_COMPRESSED = 16
"""How many times as long a text may be as its files."""


@dataclass(frozen=True)
class ReadAs:
    """How a text was read: its unit, how much of it at most, its clean-up."""

    unit: Unit
    max_chars: int | None
    clean_up: CleanUp

    def __str__(self) -> str:
        """All that the numbers depend on, the tables of lower-case letters included."""
        return f"{self.unit} {self.max_chars} {self.clean_up} {unicodedata.unidata_version} {_FORMAT_VERSION}"


@dataclass(frozen=True)
class CachedText:
    """An encoded text in the folder.

    Attributes:
        path: Its ``.json``.
        name: What it was read from when it was encoded.
        read_as: How: a ReadAs' text.
        content: SHA-256 of what was read.
        hint: Of the files when they were read last; empty where it would not tell that they changed since.
        num_bytes: What the files took.
        encoded: What it became.
    """

    path: Path
    name: str
    read_as: str
    content: str
    hint: str
    num_bytes: int
    encoded: EncodedText

    @property
    def ids_path(self) -> Path:
        """The file of its numbers."""
        return self.path.with_suffix(".ids")

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self.encoded.num_ids * self.encoded.bytes_per_id

    def used(self) -> float:
        """When it was used last, in seconds since 1970; 0 for one that is gone."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    @classmethod
    def read(cls, path: Path) -> "CachedText":
        """Raises OSError, or another exception for anything that ``save`` did not write."""
        data = json.loads(path.read_bytes())
        if data.pop("checksum") != _checksum(data):
            raise ValueError("not what was written")
        return cls(**data | {"path": path, "encoded": EncodedText(**data["encoded"])})

    def save(self) -> None:
        """Writes the ``.json``, whole or not at all."""
        data = {**asdict(self), "path": None}
        write_whole({self.path: json.dumps(data | {"checksum": _checksum(data)}).encode()})

    def open(self, progress: Progress | None) -> FileNumbers | None:
        """The numbers, verified; None where they are not what was written."""
        try:
            with self.ids_path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != self.size:
                    return None
                done = crc = 0
                while data := file.read(_READ_AT_ONCE):
                    crc = zlib.crc32(data, crc)
                    done += len(data)
                    if progress is not None:
                        progress(done, self.size)
                return self.encoded.in_file(file) if crc == self.encoded.crc32 else None
        except OSError:
            return None


def _checksum(data: dict[str, Any]) -> str:
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def cached_texts() -> list[CachedText]:
    """All there are, the one used last first. What cannot be read is removed."""
    found = []
    for path in _folder().glob("*.json"):
        try:
            found.append(CachedText.read(path))
        except OSError:
            continue  # another process removed it
        except Exception:  # anything may be in a damaged file
            _remove(path)
    return sorted(found, key=CachedText.used, reverse=True)


def _remove(path: Path) -> None:
    """Both files of an encoded text; who has it open goes on reading."""
    for file in (path, path.with_suffix(".ids")):
        with contextlib.suppress(OSError):
            file.unlink()


def find(files: TextFiles, read_as: ReadAs, progress: Progress | None = None) -> tuple[EncodedText, FileNumbers] | None:
    """A text that was encoded before; None where it was not, or where what there was is damaged."""
    if files.hint is None:
        return None
    known = [text for text in cached_texts() if text.read_as == str(read_as)]
    candidates = [text for text in known if text.hint == files.hint]
    # All is read only where something of the very same size is known.
    alike = [text for text in known if text.num_bytes == files.num_bytes and read_as.max_chars is None]
    if alike and not candidates:
        content = files.skim(progress)
        candidates = [text for text in alike if text.content == content and files.unchanged]
    for text in candidates:
        if (numbers := text.open(progress)) is None:
            _remove(text.path)
            continue
        with contextlib.suppress(OSError):
            if text.hint != files.hint and files.settled:
                replace(text, hint=files.hint).save()
            os.utime(text.path)
        return text.encoded, numbers
    return None


@contextlib.contextmanager
def one_at_a_time(files: TextFiles) -> Iterator[None]:
    """One process encodes a long text, and others wait for it, and find it."""
    with contextlib.ExitStack() as stack:
        if files.hint is not None and (files.num_bytes or 0) > encoding.LARGEST_IN_MEMORY / _MOST_COMPRESSED:
            with contextlib.suppress(OSError):  # which whoever writes there will tell
                _folder().mkdir(parents=True, exist_ok=True)
                lock = FolderLock(_folder(), "another process", name=f".{files.hint[:32]}.lock", wait=True)
                stack.enter_context(lock)
        yield


def new_file() -> BinaryIO:
    """An empty file for the numbers of a text. Raises OSError if the folder cannot be written to."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder, _STALE_SECONDS)
    return cast("BinaryIO", tempfile.NamedTemporaryFile(dir=folder, prefix=_UNFINISHED, delete=False))


def discard(file: BinaryIO) -> None:
    """Closes a file of ``new_file``, and removes it unless ``keep`` put it in its place."""
    with contextlib.suppress(OSError):
        file.close()
    with contextlib.suppress(OSError):
        Path(file.name).unlink()


def keep(file: BinaryIO, encoded: EncodedText, files: TextFiles | None, read_as: ReadAs) -> FileNumbers:
    """The numbers of a finished text from its file, which is put in its place if it can be found again."""
    if files is not None and files.hint is not None and files.num_bytes is not None and files.unchanged:
        key = sha256(f"{files.content} {read_as}".encode()).hexdigest()[:32]
        hint = files.hint if files.settled else ""
        path = _folder() / f"{key}.json"
        text = CachedText(path, files.name, str(read_as), files.content, hint, files.num_bytes, encoded)
        try:
            Path(file.name).replace(text.ids_path)
            text.save()
        except OSError:
            _remove(path)  # it will be encoded again
        for old in cached_texts():
            if old.path != path and time.time() - old.used() > _UNUSED_SECONDS:
                _remove(old.path)
    return encoded.in_file(file)


def clear() -> int:
    """Removes all encoded texts; how many bytes they took."""
    texts = cached_texts()
    for text in texts:
        _remove(text.path)
    return sum(text.size for text in texts) + _remove_unfinished(_folder(), stale_after=_WRITTEN_TO_SECONDS)


def _folder() -> Path:
    return cache_folder() / "texts"


def _remove_unfinished(folder: Path, stale_after: float) -> int:
    """What processes left that were killed, and how many bytes it took: a file that is being written is never old."""
    removed = 0
    for path in (
        *folder.glob(f"{_UNFINISHED}*"),
        *folder.glob("*.ids"),
        *folder.glob(".*.json.*"),
        *folder.glob(".*.lock"),
    ):
        with contextlib.suppress(OSError):
            status = path.stat()
            if not path.with_suffix(".json").exists() and time.time() - status.st_mtime > stale_after:
                path.unlink()
                removed += status.st_size
    return removed
