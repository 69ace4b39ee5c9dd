"""A stream to a compressed file, in bounded memory."""

import functools
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

from charloom.codec.container import (
    CHECKSUM_BYTES,
    END,
    FINGERPRINT_BYTES,
    HEADER_BYTES,
    LANES,
    LONG_RUN,
    SEGMENT,
    STORED,
    Header,
    checksum,
    checksum_bytes,
    lanes_for,
    segment_head,
)
from charloom.codec.engine import BLOCK, Engine
from charloom.codec.in_order import results_in_order
from charloom.codec.segments import Job, Progress, encode_segment, stored_segment

_LONGEST_RUN = 256
"""Segments."""


def compress_stream(
    source: BinaryIO, engine: Engine, threads: int, progress: Progress | None = None, segment: int = SEGMENT
) -> Generator[bytes]:
    """The pieces of the compressed file. They do not depend on the number of threads."""
    job = Job(progress)
    writer = _Writer(engine, segment)
    yield Header(engine.name).to_bytes()
    tasks = _tasks(source, engine, segment, writer, job)
    for data, pieces in results_in_order(tasks, threads, job.stop):
        yield from writer.segment(data, pieces)
    yield from writer.end()


_Coded = tuple[bytes, list[bytes] | None]


def _tasks(
    source: BinaryIO, engine: Engine, segment: int, writer: "_Writer", job: Job
) -> Iterator[Callable[[], _Coded]]:
    position = 0
    while data := _read(source, segment):
        if position + len(data) <= writer.run_end:
            yield functools.partial(_store, data, job)
        else:
            yield functools.partial(_encode, engine, data, position, writer, job)
        position += len(data)


def _read(source: BinaryIO, count: int) -> bytes:
    """``count`` bytes, less only at the end: a pipe gives what it has."""
    data = source.read(count)
    if not data or len(data) == count:
        return data
    pieces = [data]
    missing = count - len(data)
    while missing and (data := source.read(missing)):
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)


def _store(data: bytes, job: Job) -> _Coded:
    job.done(len(data))
    return data, None


def _encode(engine: Engine, data: bytes, position: int, writer: "_Writer", job: Job) -> _Coded:
    if position + len(data) <= writer.run_end:  # decided while this waited
        return _store(data, job)
    return data, encode_segment(engine, data, lanes_for(len(data), engine.name), position, job)


class _Writer:
    """Decides, segment by segment, what is coded and what is stored, and keeps the whole file's checksum.

    Invariant: where nothing was saved so far, the file is at most 64 bytes longer than what it holds. A stored segment
    costs 8 bytes: so while nothing is saved, each is 4 times as long as the last, and past a GiB the rest is one. What
    lies within such a long run is not tried. Where a run ends early, with its source, so does the file: nobody knew.

    Attributes:
        run_end: Where the present run of stored bytes ends in the original. Read by other threads; it only grows.
    """

    def __init__(self, engine: Engine, segment: int) -> None:
        self.run_end = 0
        self._engine = engine
        self._segment = segment
        self._position = 0
        self._growth = HEADER_BYTES
        self._run = 0
        self._blocks = 0
        self._named = False
        self._checksum = 0

    def segment(self, data: bytes, pieces: list[bytes] | None) -> Iterator[bytes]:
        """The pieces of the file for the next segment; ``pieces`` is None where it did not shrink."""
        self._checksum = checksum(data, self._checksum)
        position = self._position
        self._position += len(data)
        if self._position <= self.run_end:
            yield data
            return
        if pieces is not None:
            name = b"" if self._named else self._engine.fingerprint[:FINGERPRINT_BYTES]
            head = segment_head(len(data), LANES.index(lanes_for(len(data), self._engine.name))) + name
            size = len(head) + sum(map(len, pieces))
            # A full segment must not grow at all, as there may be any number of them; a short one is the last.
            room = 0 if len(data) == self._segment else len(segment_head(len(data), STORED)) + CHECKSUM_BYTES - 1
            if size <= len(data) + room:
                self._named = True
                self._growth += size - len(data)
                self._blocks += -(-len(data) // BLOCK)
                yield head
                yield from pieces
                return
        if self._growth <= HEADER_BYTES or len(data) < self._segment:
            self._run = 0
            pieces = stored_segment(data, position)
            self._growth += sum(map(len, pieces)) - len(data)
            self._blocks += 1
            yield from pieces
            return
        self._run = max(4 * self._run, 4 * self._segment)
        endless = self._run > _LONGEST_RUN * self._segment
        head = segment_head(0 if endless else self._run, LONG_RUN)
        self.run_end = (1 << 63) if endless else position + self._run
        self._growth += len(head)
        self._blocks += 2
        yield head
        yield data

    def end(self) -> Iterator[bytes]:
        """What ends the file; the checksum of the whole where one block's does not say it all."""
        yield END
        if self._blocks > 1:
            yield checksum_bytes(self._checksum)
