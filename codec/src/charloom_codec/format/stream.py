"""Compression and decompression of one stream, in bounded memory; ``records.lines`` does the same for records."""

import functools
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO
from zlib import crc32

import numpy as np

from charloom_codec.engines.engine import CodingCosts
from charloom_codec.errors import DamagedFileError
from charloom_codec.format.container import CHECKSUM_BYTES, END, ByteReader, Header, check_read, encode_checksum
from charloom_codec.format.opening import EngineChoice
from charloom_codec.format.ordered_work import OrderedWork
from charloom_codec.format.segments import (
    STORED,
    Chunk,
    decode_segment,
    encode_segment,
    measure_segment,
    read_segment,
)

SEGMENT = 1 << 22
"""Bytes of the original in each segment that this version writes."""


def compress_stream(source: BinaryIO, engines: EngineChoice, work: OrderedWork) -> Generator[bytes]:
    """Yields the chunks of the compressed file, which do not depend on the number of threads."""
    data = _read(source, SEGMENT)
    engine = engines.open_for_compression(data)
    header = Header(engine.mode, engine.fingerprint).to_bytes()
    yield header
    position = 0
    running = crc32(header)

    def make_tasks() -> Iterator[Callable[[], bytes]]:
        nonlocal data, position, running
        while data:
            yield functools.partial(encode_segment, engine, data, position, work)
            position += len(data)
            running = crc32(data, running)
            data = _read(source, SEGMENT)

    segments = 0
    for segment in work.run_in_order(make_tasks()):
        segments += 1
        yield segment
    yield END
    if segments != 1:
        yield encode_checksum(running)


def measure_stream(data: bytes, engines: EngineChoice, work: OrderedWork) -> CodingCosts:
    """Returns the costs of each byte in ``compress_stream``, without the headers and checksums of the file.

    For data that it would store because coding makes it longer, the costs of coding.
    """
    engine = engines.open_for_compression(data)
    segments = (data[start : start + SEGMENT] for start in range(0, len(data), SEGMENT))
    tasks = (functools.partial(measure_segment, engine, segment, work) for segment in segments)
    parts = [CodingCosts(*np.zeros((2, 0), np.float32)), *work.run_in_order(tasks)]
    return CodingCosts(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _read(source: BinaryIO, count: int) -> bytes:
    """Returns ``count`` bytes, or less at the end of the stream."""
    # In a loop, because a pipe returns the available bytes, and segments must not depend on its timing.
    data = bytearray()
    while len(data) < count and (more := check_read(source.read(count - len(data)))):
        data += more
    return bytes(data)


def decompress_stream(source: ByteReader, header: Header, engines: EngineChoice, work: OrderedWork) -> Generator[bytes]:
    """Yields the chunks of the original, each verified.

    The output is known to be complete only at the end. Needs memory for a few segments, also if the file is damaged.

    Args:
        source: Reader at the end of the header.
        header: Header of the file.
        engines: Engines of the model, not used if all segments are stored.
        work: Executor of the tasks.

    Raises:
        CompressedFileError: The file is damaged, truncated or from another model.
    """

    def make_tasks() -> Iterator[Callable[[], Chunk]]:
        position = 0
        while head := source.read_varint():
            segment = read_segment(source, head, position)
            engine = None if segment.code == STORED else engines.open_for_file(header)
            yield functools.partial(decode_segment, engine, segment, work)
            # The blocks before the error are decoded; the file cannot be read further.
            if segment.error is not None:
                return
            position += segment.length

    running = crc32(header.to_bytes())
    segments = 0
    for data, error in work.run_in_order(make_tasks()):
        segments += 1
        running = crc32(data, running)
        if data:
            yield data
        # After the data, so that the caller gets all bytes before the damage.
        if error is not None:
            raise error
    # The last checksum of a single segment covers the whole. Without any segment, nothing but this checksum
    # distinguishes an empty original from a damaged file whose segments are lost.
    if segments != 1 and source.read_exactly(CHECKSUM_BYTES) != encode_checksum(running):
        raise DamagedFileError("damaged: the checksum of the whole file does not match, although all blocks are intact")
