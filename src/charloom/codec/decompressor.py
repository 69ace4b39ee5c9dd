"""A compressed file to the original, in bounded memory, checked as it goes."""

import functools
from collections.abc import Callable, Generator, Iterator

from charloom.codec.byte_reader import ByteReader
from charloom.codec.container import (
    CHECKSUM_BYTES,
    END,
    FINGERPRINT_BYTES,
    LANES,
    LARGEST_SEGMENT,
    LONG_RUN,
    STORED,
    Header,
    checksum,
    checksum_bytes,
)
from charloom.codec.engine import BLOCK, Engine
from charloom.codec.engine_choice import EngineFor
from charloom.codec.in_order import results_in_order
from charloom.codec.segments import CodedSegment, Job, Piece, Progress, decode_segment
from charloom.errors import CompressedFileError, DamagedFileError, TrailingDataError, TruncatedFileError

_END_BYTES = len(END) + CHECKSUM_BYTES


def decompress_stream(
    source: ByteReader, header: Header, engine_for: EngineFor, threads: int, progress: Progress | None = None
) -> Generator[bytes]:
    """The pieces of the original; ``source`` stands behind the header.

    Each is checked before it is handed out, but for long runs of stored bytes, which only the checksum at the file's
    end covers. What is wrong is raised after the pieces before it: so nothing is known to be whole before the last.
    Raises a CompressedFileError; reads to the stream's end and takes memory for a few segments, whatever it says.
    """
    job = Job(progress)
    parser = _Parser(source, header, engine_for, job)
    running = 0
    for piece in results_in_order(parser.tasks(), threads, job.stop):
        running = checksum(piece.data, running)
        if piece.data:
            yield piece.data
        if piece.error is not None:
            raise piece.error
    parser.check_whole(running)


class _Parser:
    """Reads a file's structure. Tasks turn what it holds into pieces of the original."""

    def __init__(self, source: ByteReader, header: Header, engine_for: EngineFor, job: Job) -> None:
        self._source = source
        self._header = header
        self._engine_for = engine_for
        self._job = job
        self._position = 0
        self._blocks = 0
        self._ended = False
        self._long_runs: list[tuple[int, int]] = []
        self._expected: bytes | None = None

    def tasks(self) -> Iterator[Callable[[], Piece]]:
        """Segment by segment, as the file gives them."""
        engine: Engine | None = None
        while not self._ended and (head := self._source.varint()) != END[0]:
            length, code = head >> 3, head & 7
            if code == LONG_RUN:
                yield from self._long_run(length)
                continue
            if not 0 < length <= LARGEST_SEGMENT or (code != STORED and LANES[code] > length):
                raise DamagedFileError(
                    f"damaged: a segment that cannot be, before byte {self._source.position:,} of the compressed file; "
                    f"bytes from {self._position:,} of the original on are lost",
                    start=self._position,
                )
            if code != STORED and engine is None:
                engine = self._engine_for(self._header.mode, self._source.exactly(FINGERPRINT_BYTES))
            segment = self._segment(length, code)
            self._position += length
            yield functools.partial(decode_segment, None if code == STORED else engine, segment, self._job)
            if segment.error is not None:
                return
        if self._blocks > 1:
            self._expected = self._source.exactly(CHECKSUM_BYTES)
        if not self._source.ended():
            raise TrailingDataError(
                f"something follows the end, at byte {self._source.position:,} of the compressed file: "
                "is it two files in one?"
            )

    def check_whole(self, running: int) -> None:
        """The last check. Each block passed its own: what is wrong lies in a long run."""
        if self._expected is None or checksum_bytes(running) == self._expected:
            return
        if not self._long_runs:
            raise DamagedFileError("damaged: the checksum of the whole differs, though every block's own is right")
        places = ", or of bytes ".join(f"{start:,} to {end - 1:,}" for start, end in self._long_runs)
        raise DamagedFileError(
            f"damaged: some of bytes {places} of the original are wrong",
            start=self._long_runs[0][0],
            end=self._long_runs[-1][1],
        )

    def _segment(self, length: int, code: int) -> CodedSegment:
        """As much of a segment as there is."""
        segment = CodedSegment(length, code, self._position)
        if code == STORED:
            self._blocks += 1
            sizes = [length]
        else:
            count = -(-length // BLOCK)
            self._blocks += count
            sizes = [0] * count
        room = length
        try:
            for size in sizes:
                if code != STORED:
                    size = self._source.varint()
                    if size > room:
                        raise DamagedFileError(
                            f"damaged: a block that is too large, before byte {self._source.position:,} of the "
                            "compressed file",
                            start=self._position,
                            end=self._position + length,
                        )
                    room -= size
                segment.blocks.append((self._source.exactly(size), self._source.exactly(CHECKSUM_BYTES)))
        except CompressedFileError as error:
            segment.error = error
        return segment

    def _long_run(self, length: int) -> Iterator[Callable[[], Piece]]:
        """Bytes as they are: so many (0: any number), or as many as there are before the file's end."""
        start = self._position
        self._blocks += 2
        self._long_runs.append((start, start))
        while not length or self._position < start + length:
            data = self._source.up_to(
                BLOCK if not length else min(BLOCK, start + length - self._position), keep=_END_BYTES
            )
            if not data:
                break
            self._position += len(data)
            self._long_runs[-1] = (start, self._position)
            yield functools.partial(self._as_it_is, data)
        if self._position < start + length or not length:
            self._must_end()

    def _must_end(self) -> None:
        """Only what ends a file is left."""
        if self._source.exactly(len(END)) != END:
            raise TruncatedFileError(f"truncated: it ends after {self._source.position:,} bytes, too early")
        self._ended = True

    def _as_it_is(self, data: bytes) -> Piece:
        self._job.done(len(data))
        return Piece(data)
