"""One segment: its bytes in lanes, cut into blocks, each with a checksum. Functions for any thread to run."""

from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from charloom.codec.engines.engine import BLOCK, LANES, MAX_SEGMENT, Engine
from charloom.codec.format.container import CHECKSUM_BYTES, ByteReader, checksum_bytes, encode_varint
from charloom.codec.format.ordered_work import OrderedWork
from charloom.errors import CompressedFileError, DamagedFileError

Bytes: TypeAlias = NDArray[np.uint8]
STORED = 7
"""Code of a segment whose bytes stand as they are; the other codes are places in LANES."""


def segment_head(length: int, code: int) -> bytes:
    """The number that begins a segment."""
    return encode_varint(length << 3 | code)


def encode_segment(engine: Engine, data: bytes, position: int, work: OrderedWork) -> bytes:
    """The segment, coded or, if that is no longer, stored. position: of its first byte in the original."""
    lanes = engine.lanes_for(len(data))
    coded = interleave(data, lanes)
    session = engine.begin(lanes)
    segment = bytearray(segment_head(len(data), LANES.index(lanes)))
    stored_head = segment_head(len(data), STORED)
    stored = stored_head + data + checksum_bytes(crc32(data, _first_checksum(position, stored_head)))
    running = _first_checksum(position, bytes(segment))
    for start in range(0, len(coded), BLOCK):
        block = coded[start : start + BLOCK]
        payload = session.encode(block)
        running = crc32(block, running)
        segment += encode_varint(len(payload)) + payload + checksum_bytes(running)
        if len(segment) >= len(stored) or work.stopped:
            work.done(len(coded) - start)
            return stored
        work.done(len(block))
    return bytes(segment)


@dataclass(frozen=True)
class Segment:
    """A segment as read from a file.

    Attributes:
        length: Bytes of the original.
        code: STORED, or a place in LANES.
        position: Of its first byte in the original.
        blocks: Payload and checksum of each block; a stored segment has one.
        error: The reason why the file gives no more blocks; None if they are all here.
    """

    length: int
    code: int
    position: int
    blocks: list[tuple[bytes, bytes]]
    error: CompressedFileError | None


def read_segment(source: ByteReader, head: int, position: int) -> Segment:
    """The segment whose head was read, as far as the file has it. DamagedFileError if there is no such segment."""
    length, code = head >> 3, head & 7
    if not 0 < length <= MAX_SEGMENT or (code != STORED and (code >= len(LANES) or LANES[code] > length)):
        raise DamagedFileError(
            f"damaged: a segment that cannot be, before byte {source.position:,} of the compressed file; "
            f"bytes from {position:,} of the original on are lost",
            start=position,
        )
    blocks: list[tuple[bytes, bytes]] = []
    room = length
    try:
        for _ in range(1 if code == STORED else -(-length // BLOCK)):
            size = length if code == STORED else source.varint()
            if size > room:
                raise DamagedFileError(
                    f"damaged: a block that is too large, before byte {source.position:,} of the compressed file",
                    start=position,
                    end=position + length,
                )
            room -= size
            blocks.append((source.exactly(size), source.exactly(CHECKSUM_BYTES)))
    except CompressedFileError as error:
        return Segment(length, code, position, blocks, error)
    return Segment(length, code, position, blocks, None)


Chunk: TypeAlias = tuple[bytes, CompressedFileError | None]
"""Bytes of the original, checked, and the error that ended them."""


def decode_segment(engine: Engine | None, segment: Segment, work: OrderedWork) -> Chunk:
    """The original; if a block is damaged, what came before it, and the error. engine: None for a stored segment."""
    running = _first_checksum(segment.position, segment_head(segment.length, segment.code))
    lanes = LANES[segment.code] if engine is not None else 1
    session = engine.begin(lanes) if engine is not None else None
    good: list[bytes] = []
    done, end = 0, segment.position + segment.length
    error = segment.error
    for payload, expected in segment.blocks:
        if work.stopped:
            break
        try:
            length = min(BLOCK, segment.length - done)
            data = session.decode(payload, length) if session is not None else payload
            running = crc32(data, running)
            if checksum_bytes(running) != expected:
                raise ValueError("the checksum differs")
        except ValueError:
            start = segment.position + (done if lanes == 1 else 0)
            message = f"damaged: bytes {start:,} to {end - 1:,} of the original are lost"
            error = DamagedFileError(message, start=start, end=end)
            break
        good.append(data)
        done += len(data)
        work.done(len(data))
    coded = b"".join(good)
    if error is None:
        return deinterleave(coded, lanes), None
    # With several lanes each of them lacks its end: there is no beginning to hand out.
    return coded if lanes == 1 else b"", error


def _first_checksum(position: int, head: bytes) -> int:
    """A segment's running checksum starts from its position in the original and its head: neither can be changed."""
    return crc32(position.to_bytes(8, "little") + head)


def interleave(data: bytes, lanes: int) -> bytes:
    """Original order to coding order: lanes are contiguous chunks, interleaved byte by byte."""
    if lanes == 1:
        return data
    longer, shorter = _chunks(np.frombuffer(data, np.uint8), lanes)
    even = np.concatenate([longer[:, : shorter.shape[1]], shorter])
    return even.T.tobytes() + longer[:, shorter.shape[1] :].tobytes()


def deinterleave(coded: bytes, lanes: int) -> bytes:
    """Coding order to original order: the inverse."""
    if lanes == 1:
        return coded
    data = np.empty(len(coded), np.uint8)
    longer, shorter = _chunks(data, lanes)
    length = shorter.shape[1]
    array = np.frombuffer(coded, np.uint8)
    even = array[: length * lanes].reshape(length, lanes).T
    longer[:, :length] = even[: len(longer)]
    longer[:, length:] = array[length * lanes :].reshape(len(longer), -1) if len(longer) else 0
    shorter[:] = even[len(longer) :]
    return data.tobytes()


def _chunks(data: Bytes, lanes: int) -> tuple[Bytes, Bytes]:
    """Views of the longer lanes (count, length + 1) and the shorter ones (lanes - count, length)."""
    length, count = divmod(len(data), lanes)
    border = count * (length + 1)
    return data[:border].reshape(count, length + 1), data[border:].reshape(lanes - count, length)
