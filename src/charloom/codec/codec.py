"""Compression of bytes and streams with a model."""

import contextlib
import io
import os
from collections.abc import Generator
from typing import BinaryIO

from charloom.codec.compressor import compress_stream
from charloom.codec.decompressor import decompress_stream
from charloom.codec.engine import Engine, Mode
from charloom.codec.engine_choice import AnyModel, EngineChoice
from charloom.codec.segments import Progress
from charloom.errors import InputError, SettingsError

_MOST_THREADS_UNASKED = 2
"""Each thread takes the tables of a session, tens of megabytes."""


class Codec:
    """Compresses any bytes with a model, and decompresses them bit-exactly on any machine with the same model.

    Text like the model's own shrinks best; anything else goes through too and grows by at most 64 bytes. The model is
    not in the compressed data, which names it by fingerprint: who decompresses needs it. ``docs/format.md`` is the
    format.

    Attributes:
        mode: What ``compress`` uses: "fast", the network alone, or "mixing", which also learns while it reads. What
            data was made with stands in it: ``decompress`` takes either.
        threads: How many work on one stream; the bytes are the same for any number.
    """

    def __init__(self, model: AnyModel | None, *, fast: bool = False, threads: int | None = None) -> None:
        """From a model's folder or a model. Without one, only what was stored as it is can be decompressed."""
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise SettingsError(f"threads is {threads!r}: it must be a whole number, 1 or more")
        self._engines = EngineChoice(model)
        self.mode: Mode = model.name if isinstance(model, Engine) else "fast" if fast else "mixing"
        self.threads = threads or min(len(_processors()), _MOST_THREADS_UNASKED)

    def compress(self, data: bytes) -> bytes:
        """The data, compressed: the same bytes each time."""
        target = io.BytesIO()
        self.compress_stream(io.BytesIO(_as_bytes(data)), target)
        return target.getvalue()

    def decompress(self, blob: bytes) -> bytes:
        """What ``compress`` was given. Raises a CompressedFileError that says what is wrong with the blob."""
        target = io.BytesIO()
        self.decompress_stream(io.BytesIO(_as_bytes(blob)), target)
        return target.getvalue()

    def compress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Reads ``source`` to its end and writes it compressed, in bounded memory.

        progress: Called with the bytes of the original that were done since the last call.
        """
        pieces = compress_stream(source, self._engines.of_mode(self.mode), self.threads, progress)
        _write(pieces, target)

    def decompress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Reads ``source`` to its end and writes the original, in bounded memory.

        What is written was checked block by block; that nothing is missing is known when this returns. Raises a
        CompressedFileError that says what is wrong, after having written what comes before it.

        progress: Called with the bytes of the original that were done since the last call.
        """
        pieces = decompress_stream(source, self._engines.for_file, self.threads, progress)
        _write(pieces, target)


def _write(pieces: Generator[bytes], target: BinaryIO) -> None:
    # Closed at once, also where writing fails: threads work for it.
    with contextlib.closing(pieces):
        for piece in pieces:
            target.write(piece)


def _as_bytes(data: bytes) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputError(f"a {type(data).__name__} cannot be compressed: give bytes")
    return bytes(data)


def _processors() -> set[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
