"""Compression of bytes and streams with a model."""

import contextlib
import io
from collections.abc import Generator
from typing import BinaryIO

from charloom.arguments import check_stream
from charloom.codec.arguments import as_bytes, checked_threads
from charloom.codec.byte_reader import ByteReader
from charloom.codec.compressor import compress_stream
from charloom.codec.container import read_header
from charloom.codec.decompressor import decompress_stream
from charloom.codec.engine_choice import AnyModel, EngineChoice, mode_of
from charloom.codec.record_stream import Lines, compress_records, decompress_lines
from charloom.codec.segments import Progress


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
        self._engines = EngineChoice(model)
        self.mode = mode_of(model, fast=fast)
        self.threads = checked_threads(threads)

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that name what data from ``compress`` can be decompressed with."""
        return self._engines.of_mode(self.mode).fingerprint

    def compress(self, data: bytes) -> bytes:
        """The data, compressed: the same bytes each time."""
        target = io.BytesIO()
        self.compress_stream(io.BytesIO(as_bytes(data)), target)
        return target.getvalue()

    def decompress(self, blob: bytes) -> bytes:
        """What ``compress`` was given. Raises a CompressedFileError that says what is wrong with the blob."""
        target = io.BytesIO()
        self.decompress_stream(io.BytesIO(as_bytes(blob)), target)
        return target.getvalue()

    def compress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Reads ``source`` to its end and writes it compressed, in bounded memory.

        progress: Called with the bytes of the original that were done since the last call.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        pieces = compress_stream(source, self._engines.of_mode(self.mode), self.threads, progress)
        _write(pieces, target)

    def compress_lines(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """As ``compress_stream``, each line a record: RecordFile then reads any line without the others.

        Raises InputError for a line of more than 16 MiB, which is no record.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        engine = self._engines.of_mode(self.mode)
        _write(compress_records(Lines(source), engine, self.threads, progress), target)

    def decompress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Reads ``source`` to its end and writes the original, in bounded memory.

        What is written was checked block by block; that nothing is missing is known when this returns. Raises a
        CompressedFileError that says what is wrong, after having written what comes before it.

        progress: Called with the bytes of the original that were done since the last call.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        reader = ByteReader(source)
        header = read_header(reader)
        function = decompress_lines if header.records else decompress_stream
        _write(function(reader, header, self._engines.for_file, self.threads, progress), target)


def _write(pieces: Generator[bytes], target: BinaryIO) -> None:
    # Closed at once, also where writing fails: threads work for it.
    with contextlib.closing(pieces):
        for piece in pieces:
            target.write(piece)
