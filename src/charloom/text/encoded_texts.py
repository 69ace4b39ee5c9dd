"""Encoded texts in the cache folder: a long text is encoded once, and found again while its files do not change.

Each is one file, ``KEY.ids``: the numbers, then JSON that says what they mean, then the JSON's checksum and length. KEY
is a hash of the files' names, sizes, times and inodes, and of how they were read. Nothing that is found is trusted
before its checksum has been verified.
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

from charloom.io.lock import FolderLock
from charloom.settings.corpus import CorpusSettings
from charloom.text import encoding
from charloom.text.encoding import EncodedText
from charloom.text.named_corpora import cache_folder
from charloom.text.sources import Progress, TextFiles
from charloom.text.stored_ids import FileNumbers

_FORMAT_VERSION = 1
_END = struct.Struct("<IQ")
"""CRC-32 and length of the JSON before it."""
_READ_AT_ONCE = 1 << 22
_STALE_SECONDS = 600
"""A file that is being written changes within this."""
_UNUSED_SECONDS = 60 * 24 * 3600
_UNFINISHED = ".encoding-"
_MAX_COMPRESSED = 16
"""How many times as long a text may be as its files."""


@dataclass(frozen=True)
class CachedText:
    """An encoded text in the folder; ``name`` says what it was read from."""

    path: Path
    name: str
    encoded: EncodedText

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return self.encoded.num_ids * self.encoded.bytes_per_id

    def used(self) -> float:
        """When it was used last, in seconds since 1970; 0 for one that is gone."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    @classmethod
    def read(cls, path: Path) -> "CachedText":
        """Raises OSError, or another exception for anything that ``keep`` did not write."""
        with path.open("rb") as file:
            num_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, num_bytes - _END.size))
            crc, length = _END.unpack(file.read())
            file.seek(max(0, num_bytes - _END.size - length))
            data = file.read(length)
        if zlib.crc32(data) != crc:
            raise ValueError("not what was written")
        facts = json.loads(data)
        text = cls(path, facts["name"], EncodedText(**facts["encoded"]))
        if num_bytes != text.size + length + _END.size:
            raise ValueError("not as long as it was")
        return text

    def open(self, progress: Progress | None) -> FileNumbers:
        """The numbers, verified. Raises OSError, or ValueError if they are not what was written."""
        crc = 0
        with self.path.open("rb") as file:
            for start in range(0, self.size, _READ_AT_ONCE):
                end = min(start + _READ_AT_ONCE, self.size)
                crc = zlib.crc32(file.read(end - start), crc)
                if progress is not None:
                    progress(end, self.size)
            if crc != self.encoded.crc32:
                raise ValueError("not what was written")
            return self.encoded.in_file(file)


def path_of(files: TextFiles, settings: CorpusSettings) -> Path | None:
    """Where a text is or will be kept; None if its files would not tell that they have changed."""
    if files.version is None:
        return None
    # All that the numbers depend on, the tables of lower-case letters included.
    key = f"{files.version} {settings} {unicodedata.unidata_version} {_FORMAT_VERSION}"
    return _folder() / f"{sha256(key.encode()).hexdigest()[:32]}.ids"


def cached_texts() -> list[CachedText]:
    """All there are, the one used last first. What is damaged is removed."""
    found = []
    for path in _folder().glob("*.ids"):
        with _removed_if_damaged(path):
            found.append(CachedText.read(path))
    return sorted(found, key=CachedText.used, reverse=True)


def find(path: Path, progress: Progress | None = None) -> tuple[EncodedText, FileNumbers] | None:
    """A text that was encoded before; None if it was not, or if what there was is damaged."""
    with _removed_if_damaged(path):
        text = CachedText.read(path)
        numbers = text.open(progress)
        with contextlib.suppress(OSError):
            os.utime(path)
        return text.encoded, numbers
    return None


@contextlib.contextmanager
def _removed_if_damaged(path: Path) -> Iterator[None]:
    """Ends the block in silence if the file cannot be read; removes one that can be and is not what was written."""
    try:
        yield
    except OSError:
        pass  # another process removed it
    except Exception:  # anything may be in a damaged file
        _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def one_at_a_time(path: Path | None, num_bytes: int | None) -> Iterator[None]:
    """One process encodes a long text (by the bytes of its files), and others wait for it, and find it."""
    with contextlib.ExitStack() as stack:
        if path is not None and (num_bytes or 0) > encoding.MAX_IN_MEMORY / _MAX_COMPRESSED:
            with contextlib.suppress(OSError):  # which whoever writes there will tell
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = FolderLock(path.parent, "another process", name=f".{path.stem}.lock", wait=True)
                stack.enter_context(lock)
        yield


def new_file() -> BinaryIO:
    """An empty file for the numbers of a text. Raises OSError if the folder cannot be written to."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished()
    return cast("BinaryIO", tempfile.NamedTemporaryFile(dir=folder, prefix=_UNFINISHED, delete=False))


def discard(file: BinaryIO) -> None:
    """Closes a file of ``new_file``, and removes it unless ``keep`` put it in its place."""
    with contextlib.suppress(OSError):
        file.close()
    _remove(Path(file.name))


def keep(file: BinaryIO, encoded: EncodedText, name: str, path: Path) -> None:
    """Puts the file of a text's numbers in its place, if the disk takes it: else the text will be encoded again."""
    data = json.dumps({"name": name, "encoded": asdict(encoded)}).encode()
    with contextlib.suppress(OSError):
        file.write(data + _END.pack(zlib.crc32(data), len(data)))
        file.flush()
        Path(file.name).replace(path)
    for old in cached_texts():
        if old.path != path and time.time() - old.used() > _UNUSED_SECONDS:
            _remove(old.path)


def clear() -> int:
    """Removes all encoded texts; how many bytes they took."""
    texts = cached_texts()
    for text in texts:
        _remove(text.path)
    return sum(text.size for text in texts) + _remove_unfinished()


def _folder() -> Path:
    return cache_folder() / "texts"


def _remove_unfinished() -> int:
    """What processes left that were killed, and how many bytes it took: a file that is being written is never old."""
    removed = 0
    for path in (*_folder().glob(f"{_UNFINISHED}*"), *_folder().glob(".*.lock")):
        with contextlib.suppress(OSError):
            status = path.stat()
            if time.time() - status.st_mtime > _STALE_SECONDS:
                path.unlink()
                removed += status.st_size
    return removed
