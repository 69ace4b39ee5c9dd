"""Cache of encoded texts: a long text is encoded once and reused until its files change.

Each text is one file, ``KEY.ids``: the numbers, JSON that describes them, and the JSON's checksum and length. KEY is a
hash of the files' names, sizes, times and inodes, and of the settings that they were read with. The checksums of the
JSON and of the numbers are verified before a text is used.
"""

import contextlib
import json
import os
import struct
import tempfile
import time
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from charloom.errors import ModelFolderError
from charloom.io.lock import FolderLock
from charloom.settings.corpus import CorpusSettings
from charloom.text import encoding
from charloom.text.encoding import EncodedText
from charloom.text.named_corpora import cache_folder
from charloom.text.sources import Progress, TextFiles
from charloom.text.stored_ids import FileNumbers

_FORMAT_VERSION = 1
# At the end of a file, as the description is known only after all numbers have been written.
_END = struct.Struct("<IQ")
"""CRC-32 and length in bytes of the JSON that precedes them."""
_BYTES_PER_READ = 1 << 22
_STALE_SECONDS = 600
"""Age after which an unfinished file is removed: one that is being written changes more often."""
_UNUSED_SECONDS = 60 * 24 * 3600
_UNFINISHED = ".encoding-"
"""Prefix of the names of files that are being written."""
_MAX_COMPRESSED = 16
"""Maximum assumed ratio of a text's size to that of its compressed files, to estimate whether it needs a cache file."""


@dataclass(frozen=True)
class CachedText:
    """An encoded text in the cache folder.

    Attributes:
        path: File of the text.
        name: Names of the files that the text was read from.
        encoded: Description of the numbers.
    """

    path: Path
    name: str
    encoded: EncodedText

    @property
    def size(self) -> int:
        """Size of the numbers in bytes."""
        return self.encoded.num_ids * self.encoded.bytes_per_id

    def last_used(self) -> float:
        """Returns the time of last use in seconds since 1970; 0 if the file no longer exists."""
        # The time of modification: ``find`` sets it, as file systems often do not record accesses.
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0


def cache_path(files: TextFiles, settings: CorpusSettings) -> Path | None:
    """Returns the cache file of a text; None if later changes of its files could not be detected."""
    if files.version is None:
        return None
    # Everything that the numbers depend on, including Python's Unicode tables, which define lowercase.
    key = f"{files.version} {settings} {unicodedata.unidata_version} {_FORMAT_VERSION}"
    return _folder() / f"{sha256(key.encode()).hexdigest()[:32]}.ids"


def cached_texts() -> list[CachedText]:
    """Returns all cached texts, most recently used first. Damaged files are removed."""
    found = [text for path in _folder().glob("*.ids") if (text := _read(path))]
    return sorted(found, key=CachedText.last_used, reverse=True)


def find(path: Path, progress: Progress | None = None) -> tuple[EncodedText, FileNumbers] | None:
    """Returns a cached text; None if there is none, or if it was damaged, in which case its file is removed."""
    if (text := _read(path)) is None:
        return None
    try:
        file = path.open("rb")
    except OSError:
        return None
    crc = 0
    with file:
        for start in range(0, text.size, _BYTES_PER_READ):
            end = min(start + _BYTES_PER_READ, text.size)
            crc = zlib.crc32(file.read(end - start), crc)
            if progress is not None:
                progress(end, text.size)
        if crc != text.encoded.crc32:
            _remove(path)
            return None
        with contextlib.suppress(OSError):  # the cache may be read-only
            os.utime(path)
        # in_file duplicates the descriptor: the numbers stay readable if another process removes the file.
        return text.encoded, text.encoded.in_file(file)


def _read(path: Path) -> CachedText | None:
    """Reads the description of a cached text; returns None if the file is missing, or invalid and now removed."""
    try:
        with path.open("rb") as file:
            num_bytes = file.seek(0, os.SEEK_END)
            # In a file shorter than its end, unpack fails, and the file counts as damaged.
            file.seek(max(0, num_bytes - _END.size))
            crc, length = _END.unpack(file.read())
            file.seek(max(0, num_bytes - _END.size - length))
            data = file.read(length)
        if zlib.crc32(data) == crc:
            facts = json.loads(data)
            text = CachedText(path, facts["name"], EncodedText(**facts["encoded"]))
            # The JSON's checksum does not cover the numbers, some of which may be missing.
            if num_bytes == text.size + length + _END.size:
                return text
    except OSError:
        return None
    except Exception:  # a damaged file may raise any error: struct's, JSON's, KeyError, TypeError
        pass
    _remove(path)
    return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def lock_encoding(path: Path | None, num_bytes: int | None) -> Iterator[None]:
    """Makes other processes wait while one encodes the same long text, which they then find in the cache.

    Args:
        path: Cache file of the text; None for a text that is not cached.
        num_bytes: Size of its files, compressed if they are; a short text is encoded without a lock.
    """
    with contextlib.ExitStack() as stack:
        if path is not None and (num_bytes or 0) > encoding.MAX_IN_MEMORY / _MAX_COMPRESSED:
            with contextlib.suppress(OSError):  # writing the file raises it again, with a message for the user
                path.parent.mkdir(parents=True, exist_ok=True)
                # A lock for each text, so that different texts can be encoded at the same time.
                lock = FolderLock(path.parent, "another process", name=f".{path.stem}.lock", wait=True)
                stack.enter_context(lock)
        yield


def new_file() -> BinaryIO:
    """Creates an empty file for the numbers of a text. Raises OSError if the folder cannot be written to."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished()
    # In the cache folder itself, as ``store`` renames it: a rename does not cross file systems.
    return cast("BinaryIO", tempfile.NamedTemporaryFile(dir=folder, prefix=_UNFINISHED, delete=False))


def discard(file: BinaryIO) -> None:
    """Closes a file of ``new_file`` and removes it, unless ``store`` has renamed it."""
    with contextlib.suppress(OSError):
        file.close()
    _remove(Path(file.name))


def store(file: BinaryIO, encoded: EncodedText, name: str, path: Path) -> None:
    """Completes the file of a text's numbers and renames it to ``path``.

    Also removes texts that have not been used for 60 days.
    """
    data = json.dumps({"name": name, "encoded": asdict(encoded)}).encode()
    # A full disk is no error here: the corpus is usable, and the text will be encoded again next time.
    with contextlib.suppress(OSError):
        file.write(data + _END.pack(zlib.crc32(data), len(data)))
        # The file stays open, and its last bytes may still be in Python's buffer.
        file.flush()
        # A rename is atomic: another process finds the whole text or none.
        Path(file.name).replace(path)
    for old in cached_texts():
        if old.path != path and time.time() - old.last_used() > _UNUSED_SECONDS:
            _remove(old.path)


def clear() -> int:
    """Removes all encoded texts and returns their size in bytes."""
    texts = cached_texts()
    for text in texts:
        _remove(text.path)
    return sum(text.size for text in texts) + _remove_unfinished()


def _folder() -> Path:
    return cache_folder() / "texts"


def _remove_unfinished() -> int:
    """Removes unfinished files and locks of processes that were killed; returns the size of the files in bytes."""
    removed = 0
    for path in _folder().glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            # Before the file is removed, because its size is reported.
            status = path.stat()
            if time.time() - status.st_mtime > _STALE_SECONDS:
                path.unlink()
                removed += status.st_size
    for path in _folder().glob(".*.lock"):
        with contextlib.suppress(OSError, ModelFolderError), FolderLock(path.parent, "", name=path.name):
            pass  # no process held the lock: leaving it removes its file
    return removed
