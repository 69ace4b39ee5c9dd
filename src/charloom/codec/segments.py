"""One segment: bytes to blocks, and blocks to bytes. Pure functions of their arguments, for any thread to run."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from charloom.codec.container import (
    CHECKSUM_BYTES,
    LANES,
    STORED,
    checksum,
    checksum_bytes,
    first_checksum,
    segment_head,
)
from charloom.codec.engine import BLOCK, Engine
from charloom.codec.lanes import deinterleave, interleave
from charloom.codec.varint import encode_varint
from charloom.errors import CompressedFileError, DamagedFileError

Progress: TypeAlias = Callable[[int], None]
"""Called with the bytes of the original that were done since the last call, from whichever thread did them."""


class Job:
    """What the segments of one file share while threads work on them."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def done(self, count: int) -> None:
        """Counts bytes of the original."""
        if self._progress is not None:
            with self._lock:
                self._progress(count)

    def stop(self) -> None:
        """Tells all threads to give up at the next block."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether to give up."""
        return self._stopped.is_set()


def encode_segment(engine: Engine, data: bytes, lanes: int, position: int, job: Job) -> list[bytes] | None:
    """The pieces of the coded segment after its head; None where that is longer than the segment stored."""
    coded = interleave(data, lanes)
    session = engine.begin(lanes)
    running = first_checksum(position)
    pieces: list[bytes] = []
    room = len(data) + CHECKSUM_BYTES
    for start in range(0, len(coded), BLOCK):
        block = coded[start : start + BLOCK]
        payload = session.encode(block)
        running = checksum(block, running)
        piece = encode_varint(len(payload)) + payload + checksum_bytes(running)
        room -= len(piece)
        if room < 0 or job.stopped:
            # What was not looked at is done too: it is going to be stored.
            job.done(len(coded) - start)
            return None
        pieces.append(piece)
        job.done(len(block))
    return pieces


def stored_segment(data: bytes, position: int) -> list[bytes]:
    """The pieces of a stored segment, its head the first."""
    return [segment_head(len(data), STORED), data, checksum_bytes(checksum(data, first_checksum(position)))]


@dataclass
class CodedSegment:
    """A segment as read from a file.

    Attributes:
        length: Bytes of the original.
        code: STORED, or which of LANES.
        position: Where it begins in the original.
        blocks: Payload and checksum of each block; a stored segment has one.
        error: Why the file gives no more blocks; None where they are all here.
    """

    length: int
    code: int
    position: int
    blocks: list[tuple[bytes, bytes]] = field(default_factory=list)
    error: CompressedFileError | None = None


@dataclass(frozen=True)
class Piece:
    """Bytes of the original, checked, and the error that ended them."""

    data: bytes
    error: CompressedFileError | None = None


def decode_segment(engine: Engine | None, segment: CodedSegment, job: Job) -> Piece:
    """The original; where a block is damaged, what came before it, and the error."""
    running = first_checksum(segment.position)
    lanes = 1 if segment.code == STORED else LANES[segment.code]
    session = None if engine is None else engine.begin(lanes)
    good: list[bytes] = []
    done = 0
    error = segment.error
    for payload, expected in segment.blocks:
        if job.stopped:
            break
        try:
            if session is None:
                data = payload
            else:
                length = min(BLOCK, segment.length - done)
                data = session.decode(payload, length)
                if len(data) != length:
                    raise ValueError("a block of another length")
            running = checksum(data, running)
            if checksum_bytes(running) != expected:
                raise ValueError("the checksum differs")
        except ValueError:
            error = damaged(segment.position + (done if lanes == 1 else 0), segment.position + segment.length)
            break
        good.append(data)
        done += len(data)
        job.done(len(data))
    coded = b"".join(good)
    if error is None:
        return Piece(deinterleave(coded, lanes))
    # With several lanes each of them lacks its end: there is no beginning to hand out.
    return Piece(coded if lanes == 1 else b"", error)


def damaged(start: int, end: int) -> DamagedFileError:
    """The error for a part of the original that is lost."""
    return DamagedFileError(f"damaged: bytes {start:,} to {end - 1:,} of the original are lost", start=start, end=end)
