"""Compression of bytes and streams with a model."""

import io
from typing import BinaryIO

from charloom.arguments import check_bytes, check_stream
from charloom.codec.engines.opening import AnyModel, EngineChoice
from charloom.codec.format.container import ByteReader, Header
from charloom.codec.format.ordered_work import OrderedWork, Progress, checked_threads, write_chunks
from charloom.codec.format.stream import compress_stream, decompress_stream
from charloom.codec.records.lines import Lines, compress_records, decompress_lines


class Codec:
    """Compresses any bytes with a model, and decompresses them bit-exactly on any machine with the same model.

    Text like the model's own shrinks best; anything else goes through too and grows by at most 25 bytes, and 0.0002 %.
    The model is not in the compressed data, which names it by fingerprint: who decompresses needs it.
    ``docs/format.md`` is the format.

    Attributes:
        mode: What ``compress`` uses: "fast", the network alone, or "mixing", which also learns while it reads. What
            data was made with stands in it: ``decompress`` takes either.
        threads: How many work on one stream; the bytes are the same for any number.
    """

    def __init__(self, model: AnyModel | None, *, fast: bool = False, threads: int | None = None) -> None:
        """From a model's folder or a model. Without one, only what was stored as it is can be decompressed."""
        self._engines = EngineChoice(model, fast=fast)
        self.mode = self._engines.mode
        self.threads = checked_threads(threads)

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that name what data from ``compress`` can be decompressed with."""
        return self._engines.to_compress().fingerprint

    def compress(self, data: bytes) -> bytes:
        """The data, compressed: the same bytes each time."""
        check_bytes(data=data)
        target = io.BytesIO()
        self.compress_stream(io.BytesIO(data), target)
        return target.getvalue()

    def decompress(self, blob: bytes) -> bytes:
        """What ``compress`` was given. Raises a CompressedFileError that says what is wrong with the blob."""
        check_bytes(blob=blob)
        target = io.BytesIO()
        self.decompress_stream(io.BytesIO(blob), target)
        return target.getvalue()

    def compress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Reads ``source`` to its end and writes it compressed, in bounded memory.

        progress: Called with the bytes of the original that were done since the last call.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        work = OrderedWork(self.threads, progress)
        write_chunks(compress_stream(source, self._engines.to_compress(), work), target)

    def compress_lines(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """As ``compress_stream``, each line a record: RecordFile then reads any line without the others.

        Raises InputError for a line of more than 16 MiB, which is no record.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        work = OrderedWork(self.threads, progress)
        write_chunks(compress_records(Lines(source), self._engines.to_compress(), work), target)

    def decompress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Reads ``source`` to its end and writes the original, in bounded memory.

        What is written was checked block by block; that nothing is missing is known when this returns. Raises a
        CompressedFileError that says what is wrong, after having written what comes before it.

        progress: Called with the bytes of the original that were done since the last call.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        reader = ByteReader(source)
        header = Header.read(reader)
        function = decompress_lines if header.records else decompress_stream
        write_chunks(function(reader, header, self._engines, OrderedWork(self.threads, progress)), target)
