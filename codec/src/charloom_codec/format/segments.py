"""Segments of a compressed file: bytes in lanes (parallel streams), divided into blocks with checksums.

All functions are thread-safe.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from charloom_codec.engines.engine import BLOCK, LANES, MAX_SEGMENT, CodingCosts, Engine
from charloom_codec.errors import CompressedFileError, DamagedFileError
from charloom_codec.format.container import CHECKSUM_BYTES, ByteReader, encode_checksum, encode_varint
from charloom_codec.format.ordered_work import OrderedWork

STORED = 7
"""Code of a segment that is stored uncompressed; the other codes are indices of LANES."""


def encode_segment_head(length: int, code: int) -> bytes:
    """Returns the varint at the start of a segment."""
    return encode_varint(length << 3 | code)


def encode_segment(engine: Engine, data: bytes, position: int, work: OrderedWork) -> bytes:
    """Returns a segment: coded, or stored if that is not longer.

    Args:
        engine: Engine to code with.
        data: Bytes of the original.
        position: Position of the first byte in the original.
        work: Executor that gets the progress, and may stop the task.
    """
    lanes = engine.choose_num_lanes(len(data))
    coded = interleave(data, lanes)
    session = engine.start_session(lanes)
    segment = bytearray(encode_segment_head(len(data), LANES.index(lanes)))
    stored_head = encode_segment_head(len(data), STORED)
    stored = stored_head + data + encode_checksum(crc32(data, _start_checksum(position, stored_head)))
    running = _start_checksum(position, bytes(segment))
    for start in range(0, len(coded), BLOCK):
        block = coded[start : start + BLOCK]
        payload = session.encode(block)
        running = crc32(block, running)
        segment += encode_varint(len(payload)) + payload + encode_checksum(running)
        # Ends as early as possible, because incompressible data would take as long as any other. The result of a
        # stopped task is not used.
        if len(segment) >= len(stored) or work.is_stopped:
            work.add_progress(len(coded) - start)
            return stored
        work.add_progress(len(block))
    return bytes(segment)


def measure_segment(engine: Engine, data: bytes, work: OrderedWork) -> CodingCosts:
    """Returns the costs of each byte of ``data`` in a coded segment; arguments as for ``encode_segment``."""
    lanes = engine.choose_num_lanes(len(data))
    coded = interleave(data, lanes)
    session = engine.start_session(lanes)
    costs = CodingCosts(np.zeros(len(data), np.float32), np.zeros(len(data), np.float32))
    for start in range(0, len(coded), BLOCK):
        if work.is_stopped:
            break
        block = coded[start : start + BLOCK]
        for of_all, of_block in zip(costs, CodingCosts.from_bytes(session.measure(block)), strict=True):
            of_all[start : start + BLOCK] = of_block
        work.add_progress(len(block))
    return CodingCosts(*(_deinterleave_array(array, lanes) for array in costs))


@dataclass(frozen=True)
class Segment:
    """Segment that was read from a file.

    Attributes:
        length: Number of bytes of the original.
        code: STORED or an index of LANES.
        position: Position of the first byte in the original.
        blocks: Payload and checksum of each block; a stored segment has one block.
        error: Error that ended reading; None if all blocks were read.
    """

    length: int
    code: int
    position: int
    blocks: list[tuple[bytes, bytes]]
    error: CompressedFileError | None


def read_segment(source: ByteReader, head: int, position: int) -> Segment:
    """Returns the segment whose head was read, as far as the file contains it.

    Args:
        source: Reader at the end of the segment's head.
        head: Number in the head.
        position: Position of the segment's first byte in the original.

    Raises:
        DamagedFileError: No segment has this head.
    """
    length, code = head >> 3, head & 7
    # The writer never uses more lanes than bytes, so that no lane is empty.
    if not 0 < length <= MAX_SEGMENT or (code != STORED and (code >= len(LANES) or LANES[code] > length)):
        raise DamagedFileError(
            f"damaged: an invalid segment header just before byte {source.position:,} of the compressed file; "
            f"the original is lost from byte {position:,} on",
            start=position,
        )
    blocks: list[tuple[bytes, bytes]] = []
    num_left = length
    try:
        for _ in range(1 if code == STORED else -(-length // BLOCK)):
            size = length if code == STORED else source.read_varint()
            # A coded segment is shorter than its original; a longer one is damaged. This bounds the memory.
            if size > num_left:
                raise DamagedFileError(
                    f"damaged: a block before byte {source.position:,} of the compressed file is too large",
                    start=position,
                    end=position + length,
                )
            num_left -= size
            blocks.append((source.read_exactly(size), source.read_exactly(CHECKSUM_BYTES)))
    except CompressedFileError as error:
        # Not raised yet: the blocks before the error can be decoded.
        return Segment(length, code, position, blocks, error)
    return Segment(length, code, position, blocks, None)


Chunk: TypeAlias = tuple[bytes, CompressedFileError | None]
"""Verified bytes of the original, and the error after them or None."""


def decode_segment(engine: Engine | None, segment: Segment, work: OrderedWork) -> Chunk:
    """Returns the bytes of a segment.

    If a block is damaged, returns the error and, with one lane, the bytes before it. With several lanes the end of each
    is lost, so that no bytes are returned.

    Args:
        engine: Engine that coded the segment; None for a stored segment.
        segment: Segment to decode.
        work: Executor that gets the progress, and may stop the task.
    """
    running = _start_checksum(segment.position, encode_segment_head(segment.length, segment.code))
    lanes = LANES[segment.code] if engine is not None else 1
    session = engine.start_session(lanes) if engine is not None else None
    decoded: list[bytes] = []
    done, end = 0, segment.position + segment.length
    error = segment.error
    for payload, expected in segment.blocks:
        if work.is_stopped:
            break
        try:
            # The last block of a segment is shorter.
            length = min(BLOCK, segment.length - done)
            data = session.decode(payload, length) if session is not None else payload
            running = crc32(data, running)
            if encode_checksum(running) != expected:
                raise ValueError("the checksum does not match")
        except ValueError:
            # The end of every lane is lost, so with several lanes the damage starts at the start of the segment.
            start = segment.position + (done if lanes == 1 else 0)
            span, verb = f"bytes {start:,} to {end - 1:,}", "are"
            if end - start == 1:
                span, verb = f"byte {start:,}", "is"
            error = DamagedFileError(f"damaged: {span} of the original {verb} lost", start=start, end=end)
            break
        decoded.append(data)
        done += len(data)
        work.add_progress(len(data))
    coded = b"".join(decoded)
    if error is None:
        return deinterleave(coded, lanes), None
    # With several lanes, the end of each is lost, so no contiguous bytes from the start of the segment are complete.
    return coded if lanes == 1 else b"", error


def _start_checksum(position: int, head: bytes) -> int:
    """Returns the initial value of a segment's running checksum."""
    # It covers position and head, so that moved segments and changed heads are detected.
    return crc32(position.to_bytes(8, "little") + head)


def interleave(data: bytes, lanes: int) -> bytes:
    """Returns the bytes in coding order: lanes are contiguous chunks of the original, interleaved byte by byte."""
    if lanes == 1:
        return data
    # The first `len % lanes` lanes have one byte more, which comes last in coding order.
    longer, shorter = _split_lanes(np.frombuffer(data, np.uint8), lanes)
    even = np.concatenate([longer[:, : shorter.shape[1]], shorter])
    return even.T.tobytes() + longer[:, shorter.shape[1] :].tobytes()


def deinterleave(coded: bytes, lanes: int) -> bytes:
    """Returns the bytes in original order, the inverse of ``interleave``."""
    return coded if lanes == 1 else _deinterleave_array(np.frombuffer(coded, np.uint8), lanes).tobytes()


def _deinterleave_array(coded: NDArray[Any], lanes: int) -> NDArray[Any]:
    """Returns one value for each byte in original order."""
    if lanes == 1:
        return coded
    values = np.empty_like(coded)
    longer, shorter = _split_lanes(values, lanes)
    length = shorter.shape[1]
    even = coded[: length * lanes].reshape(length, lanes).T
    longer[:, :length] = even[: len(longer)]
    longer[:, length:] = coded[length * lanes :].reshape(len(longer), -1) if len(longer) else 0
    shorter[:] = even[len(longer) :]
    return values


def _split_lanes(data: NDArray[Any], lanes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns views of the longer lanes (count, length + 1) and the shorter lanes (lanes - count, length)."""
    length, count = divmod(len(data), lanes)
    boundary = count * (length + 1)
    return data[:boundary].reshape(count, length + 1), data[boundary:].reshape(lanes - count, length)
