"""Compression of bytes and streams with a model; ``records`` compresses many small messages instead."""

import io
from typing import BinaryIO

from charloom_codec.arguments import check_bytes, check_stream
from charloom_codec.engines.engine import CodingCosts
from charloom_codec.format.container import ByteReader, read_headers
from charloom_codec.format.opening import AnyModel, EngineChoice
from charloom_codec.format.ordered_work import OrderedWork, Progress, resolve_threads, write_chunks
from charloom_codec.format.stream import compress_stream, decompress_stream, measure_stream
from charloom_codec.records.lines import Lines, compress_records, decompress_lines


class Codec:
    """Compressor of any bytes with a model; any machine with the same model decompresses them bit-exactly.

    Text that resembles the model's training text is compressed best. Any other data can be compressed, too, and grows
    by at most 25 bytes plus 0.0002%. The compressed data does not contain the model but identifies it by a fingerprint:
    decompression needs the same model. ``docs/format.md`` specifies the format.

    Attributes:
        mode: Engine of ``compress``: "fast", the network alone, or "mixing", the network mixed with context models
            that adapt to the data. Compressed data states its mode, so ``decompress`` accepts both, unless the model
            is an engine, which has one mode.
        threads: Number of threads for one stream. The compressed bytes do not depend on it.
    """

    def __init__(self, model: AnyModel | None, *, fast: bool = False, threads: int | None = None) -> None:
        """Initializes the codec.

        Args:
            model: Model folder, model or engine. A folder is read at first use, which raises ModelFolderError if that
                fails. With None, data that was stored uncompressed, or compressed with a model of the package, can be
                decompressed; everything else raises WrongModelError, ``compress`` and ``fingerprint`` included.
            fast: True to compress with the network alone; ignored if the model is an engine.
            threads: Number of threads. Default: 2, or 1 if only one core is available.
        """
        self._engines = EngineChoice(model, fast=fast)
        self.mode = self._engines.mode
        self.threads = resolve_threads(threads)

    @property
    def fingerprint(self) -> bytes:
        """Hash, 32 bytes, of everything that decompression of data from ``compress`` depends on.

        A model of the package compresses data that is unlike its priming without the priming, with another fingerprint.
        """
        return self._engines.open_for_compression().fingerprint

    def compress(self, data: bytes) -> bytes:
        """Returns the compressed data. The result is deterministic."""
        check_bytes(data=data)
        # The same code as for streams, so that both give the same bytes.
        target = io.BytesIO()
        self.compress_stream(io.BytesIO(data), target)
        return target.getvalue()

    def measure(self, data: bytes, progress: Progress | None = None) -> CodingCosts:
        """Returns the bits that ``compress`` takes for each byte, and those that it was expected to take.

        The sum of ``bits`` is the size of the compressed data without headers and checksums, about 10 bytes for each
        64 KiB. If ``compress`` would store the data because coding makes it longer, it is the size that coding would
        give.

        Args:
            data: The data.
            progress: Callback, as in ``compress_stream``.
        """
        check_bytes(data=data)
        return measure_stream(data, self._engines, OrderedWork(self.threads, progress))

    def decompress(self, blob: bytes) -> bytes:
        """Returns the data that was compressed. Raises CompressedFileError if the blob cannot be decompressed."""
        check_bytes(blob=blob)
        # Collected in memory, unlike in decompress_stream: the caller gets all of the data or none.
        target = io.BytesIO()
        self.decompress_stream(io.BytesIO(blob), target)
        return target.getvalue()

    def compress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Compresses ``source`` to its end into ``target``, in bounded memory.

        Args:
            source: Binary stream to compress.
            target: Binary stream for the compressed data.
            progress: Callback that receives the number of original bytes compressed since the last call. Any thread may
                call it, one call at a time.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        # A new executor for each call, because it has the state of one file.
        work = OrderedWork(self.threads, progress)
        write_chunks(compress_stream(source, self._engines, work), target)

    def compress_lines(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Compresses each line of ``source`` as a record, so that RecordFile can read any line without the others.

        The arguments are those of ``compress_stream``. Raises RecordTooLongError for a line of more than 16 MiB,
        possibly after lines before it were written.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        work = OrderedWork(self.threads, progress)
        write_chunks(compress_records(Lines(source), self._engines.open_for_compression(), work), target)

    def decompress_stream(self, source: BinaryIO, target: BinaryIO, progress: Progress | None = None) -> None:
        """Decompresses ``source`` to its end into ``target``, in bounded memory.

        Of compressed files that were joined, the originals are written one after another. Each block is verified before
        it is written. The output is known to be complete only when this returns.

        Args:
            source: Binary stream that ``compress_stream`` or ``compress_lines`` wrote.
            target: Binary stream for the original.
            progress: Callback that receives the number of original bytes decompressed since the last call. Any thread
                may call it, one call at a time.

        Raises:
            CompressedFileError: The data is damaged, truncated or from another model. The bytes before the damage are
                written first.
        """
        check_stream("read", source=source)
        check_stream("write", target=target)
        reader = ByteReader(source)
        for header in read_headers(reader):
            # The header states what follows: the caller need not know whether the file has records.
            function = decompress_lines if header.records else decompress_stream
            write_chunks(function(reader, header, self._engines, OrderedWork(self.threads, progress)), target)
