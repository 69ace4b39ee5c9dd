"""Compression and decompression of a file of records from start to end, in bounded memory.

``record_file`` reads single records instead.
"""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, TypeAlias
from zlib import crc32

from charloom_codec.arguments import check_bytes
from charloom_codec.engines.engine import Engine
from charloom_codec.errors import (
    CharloomError,
    DamagedFileError,
    DamagedRecordError,
    InputError,
    RecordTooLongError,
)
from charloom_codec.format.container import CHECKSUM_BYTES, END, NON_BLOCKING, ByteReader, Header, encode_varint
from charloom_codec.format.opening import EngineChoice
from charloom_codec.format.ordered_work import OrderedWork
from charloom_codec.records.groups import (
    GROUP_BYTES,
    GROUP_RECORDS,
    MAX_GROUP,
    Index,
    decode_group,
    encode_group,
)
from charloom_codec.records.record_codec import MAX_RECORD, RecordSessions

LINE_FEED = b"\n"


class Lines:
    """Iterable of the lines of a stream as records, without their line feeds.

    Attributes:
        open_end: True if the last line has no line feed; valid after all lines were read.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.open_end = False
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        """Yields each line. Raises RecordTooLongError if a line is too long for a record."""
        number = 0
        # The limit bounds the memory for a file without line feeds: a record, its line feed, and one byte too many.
        while line := self._source.readline(MAX_RECORD + 2):
            number += 1
            self.open_end = not line.endswith(LINE_FEED)
            if len(line) > MAX_RECORD + 1 - self.open_end:
                raise RecordTooLongError(
                    f"line {number:,} is longer than {MAX_RECORD:,} bytes, the limit for a record",
                    hint="use compress_stream",
                )
            yield line.removesuffix(LINE_FEED)
        # `readline` of a non-blocking stream returns the available bytes as if the stream ended.
        if self._source.read(1) != b"":
            raise InputError(NON_BLOCKING)


def compress_records(records: Iterable[bytes], engine: Engine, work: OrderedWork) -> Generator[bytes]:
    """Yields the chunks of a file of records, which do not depend on the number of threads.

    Args:
        records: Records, or the Lines of a text.
        engine: Engine to code with.
        work: Executor of the tasks.
    """
    sessions = RecordSessions(engine)
    index = Index()
    yield Header(engine.mode, engine.fingerprint, records=True).to_bytes()
    tasks = (functools.partial(_encode_group, sessions, group, work) for group in _split_into_groups(records))
    for group, data in work.run_in_order(tasks):
        for record in group:
            index.checksum = crc32(record + LINE_FEED, index.checksum)
        index.groups.append((len(data), len(group)))
        yield encode_varint(len(data)) + data
    # Known only after the last line was read.
    index.open_end = isinstance(records, Lines) and records.open_end
    # The index is last, because it is complete only now and a pipe cannot be rewound.
    yield END + index.to_bytes()


def _split_into_groups(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for record in records:
        check_bytes(record=record)
        record = bytes(record)  # the caller may change a bytearray while a thread codes it
        if len(record) > MAX_RECORD:
            raise RecordTooLongError(
                f"a record is {len(record):,} bytes long, more than the limit of {MAX_RECORD:,}",
                hint="compress it as a stream",
            )
        group.append(record)
        size += len(record)
        # Large groups have less overhead, small ones are read faster for a single record.
        if len(group) == GROUP_RECORDS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _encode_group(sessions: RecordSessions, group: list[bytes], work: OrderedWork) -> tuple[list[bytes], bytes]:
    blobs = []
    for record in group:
        if work.is_stopped:
            return group, b""  # nobody reads the result
        blobs.append(sessions.encode(record))
        work.add_progress(len(record) + 1)
    return group, encode_group(blobs)


def decompress_lines(source: ByteReader, header: Header, engines: EngineChoice, work: OrderedWork) -> Generator[bytes]:
    """Yields the chunks of the text whose lines are the records, each verified.

    Args:
        source: Reader at the end of the header.
        header: Header of the file.
        engines: Engines of the model.
        work: Executor of the tasks.

    Raises:
        CompressedFileError: The file is damaged, truncated or from another model. The records before the damage are
            yielded first.
    """
    sessions = RecordSessions(engines.open_for_file(header))
    index = Index()
    pending = b""  # line feed of the last record, until the index shows whether there is one
    for records, error in work.run_in_order(_make_decoding_tasks(source, sessions, index, work)):
        text = LINE_FEED.join(records)
        if records:
            index.checksum = crc32(text + LINE_FEED, index.checksum)
            yield pending + text
            pending = LINE_FEED
        if error is not None:
            yield pending
            raise error
    # The bytes of the index are compared as a whole, with either value of open_end.
    stored, closed_end = source.read_exactly(len(index.to_bytes())), index.to_bytes()
    if stored not in (closed_end, replace(index, open_end=True).to_bytes()):
        raise DamagedFileError("damaged: the index does not match the records")
    if stored == closed_end:
        yield pending


_DecodedGroup: TypeAlias = tuple[list[bytes], CharloomError | None]
"""Records of a group, and the error after them or None."""


def _make_decoding_tasks(
    source: ByteReader, sessions: RecordSessions, index: Index, work: OrderedWork
) -> Iterator[Callable[[], _DecodedGroup]]:
    first = 0
    while size := source.read_varint():
        if not CHECKSUM_BYTES < size <= MAX_GROUP:
            raise DamagedRecordError(
                f"damaged: an invalid group size ({size:,} bytes) just before byte {source.position:,} of the "
                "compressed file",
                hint=f"the records from number {first:,} on (counted from 0) are lost",
                records=(first,),
                lost="rest",
            )
        body = source.read_exactly(size)
        # Here and not in the task, because the index and the numbers of records must be in order.
        try:
            blobs, damaged = decode_group(body)
        except ValueError:
            raise DamagedRecordError(
                f"damaged: the group of records that starts with record {first:,} (counted from 0) is lost",
                records=(first,),
                lost="group",
            ) from None
        index.groups.append((size, len(blobs)))
        yield functools.partial(_decode_group, sessions, blobs, damaged, first, work)
        first += len(blobs)


def _decode_group(
    sessions: RecordSessions, blobs: list[bytes], damaged: tuple[int, ...], first: int, work: OrderedWork
) -> _DecodedGroup:
    records: list[bytes] = []
    # Coded records may decode to more bytes than they take: the limit bounds the memory for damaged records.
    num_left = MAX_GROUP
    for number, blob in enumerate(blobs):
        if work.is_stopped:
            break
        try:
            if number in damaged:
                raise make_damage_error(first, damaged)
            records.append(decode_record(sessions, blob, first + number, num_left))
            # A stored record is not bounded by the limit of decode_record.
            if len(records[-1]) > num_left:
                raise make_damage_error(first + number, (0,))
        except DamagedRecordError as error:
            return records, error
        num_left -= len(records[-1])
        work.add_progress(len(records[-1]) + 1)
    return records, None


def decode_record(sessions: RecordSessions, blob: bytes, number: int, limit: int = MAX_GROUP) -> bytes:
    """Returns the record of a blob whose checksums are right. Raises DamagedRecordError if it cannot be decoded."""
    try:
        return sessions.decode(blob, limit)
    except DamagedRecordError:
        raise make_damage_error(number, (0,)) from None


def make_damage_error(first: int, numbers: Sequence[int]) -> DamagedRecordError:
    """Returns the error for damaged records.

    Args:
        first: Number of the group's first record.
        numbers: Numbers of the damaged records within the group.
    """
    records = tuple(first + number for number in numbers)
    shown = ", ".join(f"{number:,}" for number in records[:8]) + (", ..." if len(records) > 8 else "")
    plural, verb = ("s", "are") if len(records) > 1 else ("", "is")
    return DamagedRecordError(
        f"damaged: record{plural} {shown} (counted from 0) {verb} lost",
        records=records,
        hint="undamaged records can still be read",
    )
