"""A stream to a compressed file and back, in bounded memory, checked block by block."""

import functools
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO
from zlib import crc32

from charloom.codec.engines.engine import Engine
from charloom.codec.engines.opening import EngineChoice
from charloom.codec.format.container import CHECKSUM_BYTES, END, ByteReader, Header, checksum_bytes, waited_for
from charloom.codec.format.ordered_work import OrderedWork
from charloom.codec.format.segments import STORED, Chunk, decode_segment, encode_segment, read_segment
from charloom.errors import DamagedFileError, TrailingDataError

SEGMENT = 1 << 22
"""Bytes of the original that a segment of this writer has."""


def compress_stream(source: BinaryIO, engine: Engine, work: OrderedWork) -> Generator[bytes]:
    """The chunks of the compressed file. They do not depend on the number of threads."""
    header = Header(engine.name, engine.fingerprint).to_bytes()
    yield header
    position = 0
    running = crc32(header)

    def tasks() -> Iterator[Callable[[], bytes]]:
        nonlocal position, running
        while data := _read(source, SEGMENT):
            yield functools.partial(encode_segment, engine, data, position, work)
            position += len(data)
            running = crc32(data, running)

    segments = 0
    for segment in work.results(tasks()):
        segments += 1
        yield segment
    yield END
    if segments != 1:
        yield checksum_bytes(running)


def _read(source: BinaryIO, count: int) -> bytes:
    """``count`` bytes, less only at the end: a pipe gives what it has."""
    data = bytearray()
    while len(data) < count and (more := waited_for(source.read(count - len(data)))):
        data += more
    return bytes(data)


def decompress_stream(source: ByteReader, header: Header, engines: EngineChoice, work: OrderedWork) -> Generator[bytes]:
    """The chunks of the original; ``source`` stands behind the header.

    Each is checked before it is handed out; nothing is known to be whole before the last. Raises a
    CompressedFileError; reads to the stream's end and takes memory for a few segments, whatever the file says.
    """

    def tasks() -> Iterator[Callable[[], Chunk]]:
        position = 0
        while head := source.varint():
            segment = read_segment(source, head, position)
            engine = None if segment.code == STORED else engines.for_file(header)
            yield functools.partial(decode_segment, engine, segment, work)
            if segment.error is not None:
                return
            position += segment.length

    running = crc32(header.to_bytes())
    segments = 0
    for data, error in work.results(tasks()):
        segments += 1
        running = crc32(data, running)
        if data:
            yield data
        if error is not None:
            raise error
    # The last checksum of a single segment covers the whole. Without any segment, nothing but this checksum
    # distinguishes an empty original from a damaged file whose segments are lost.
    if segments != 1 and source.exactly(CHECKSUM_BYTES) != checksum_bytes(running):
        raise DamagedFileError("damaged: the checksum of the whole differs, though every block's own is right")
    if not source.ended():
        raise TrailingDataError(
            f"something follows the end, at byte {source.position:,} of the compressed file: is it two files in one?"
        )
