"""A file of records, written and read from beginning to end, in bounded memory."""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, TypeAlias
from zlib import crc32

from charloom.arguments import check_bytes
from charloom.codec.engines.engine import Engine
from charloom.codec.engines.opening import EngineChoice
from charloom.codec.format.container import CHECKSUM_BYTES, END, ByteReader, Header, encode_varint
from charloom.codec.format.ordered_work import OrderedWork
from charloom.codec.records.groups import (
    GROUP_BYTES,
    GROUP_RECORDS,
    MAX_GROUP,
    GroupEntry,
    Index,
    decode_group,
    encode_group,
)
from charloom.codec.records.record_codec import MAX_RECORD, RecordSessions
from charloom.errors import CharloomError, DamagedFileError, DamagedRecordError, InputError, TrailingDataError

LINE_FEED = b"\n"


class Lines:
    """The lines of a stream as records, without their line feeds.

    Attributes:
        open_end: If the last line has no line feed; known when the lines were read.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.open_end = False
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        """Each line. Raises InputError for one that is too long for a record."""
        number = 0
        while line := self._source.readline(MAX_RECORD + 2):
            number += 1
            self.open_end = not line.endswith(LINE_FEED)
            if len(line) > MAX_RECORD + 1 - self.open_end:
                raise InputError(
                    f"line {number:,} is longer than {MAX_RECORD:,} bytes: this is not a text of small records; "
                    "compress it as one stream"
                )
            yield line.removesuffix(LINE_FEED)


def compress_records(records: Iterable[bytes], engine: Engine, work: OrderedWork) -> Generator[bytes]:
    """The chunks of a file of records, the same for any number of threads. ``records`` are lines, or any bytes."""
    sessions = RecordSessions(engine)
    index = Index()
    yield Header(engine.name, engine.fingerprint, records=True).to_bytes()
    tasks = (functools.partial(_encode, sessions, group, work) for group in _groups(records))
    for group, data in work.results(tasks):
        for record in group:
            index.checksum = crc32(record + LINE_FEED, index.checksum)
        index.groups.append(GroupEntry(len(data), len(group)))
        yield encode_varint(len(data)) + data
    index.open_end = isinstance(records, Lines) and records.open_end
    yield END + index.to_bytes()


def _groups(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for record in records:
        check_bytes(record=record)
        record = bytes(record)
        if len(record) > MAX_RECORD:
            raise InputError(f"a record of {len(record):,} bytes: the largest has {MAX_RECORD:,}")
        group.append(record)
        size += len(record)
        if len(group) == GROUP_RECORDS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _encode(sessions: RecordSessions, group: list[bytes], work: OrderedWork) -> tuple[list[bytes], bytes]:
    blobs = []
    for record in group:
        if work.stopped:
            return group, b""
        blobs.append(sessions.encode(record))
        work.done(len(record) + 1)
    return group, encode_group(blobs)


def decompress_lines(source: ByteReader, header: Header, engines: EngineChoice, work: OrderedWork) -> Generator[bytes]:
    """The chunks of the text whose lines the records are; ``source`` stands behind the header.

    Raises a CompressedFileError after the records before the damage. What is handed out was checked by its group.
    """
    sessions = RecordSessions(engines.for_file(header))
    index = Index()
    held = b""  # the last record's line feed, until it is known if there is one
    for records, error in work.results(_decoding_tasks(source, sessions, index, work)):
        text = LINE_FEED.join(records)
        if records:
            index.checksum = crc32(text + LINE_FEED, index.checksum)
            yield held + text
            held = LINE_FEED
        if error is not None:
            yield held
            raise error
    stored, closed_end = source.exactly(len(index.to_bytes())), index.to_bytes()
    if stored not in (closed_end, replace(index, open_end=True).to_bytes()):
        raise DamagedFileError("damaged: the index does not fit the records")
    if not source.ended():
        raise TrailingDataError(f"something follows the end, at byte {source.position:,} of the compressed file")
    if stored == closed_end:
        yield held


_Decoded: TypeAlias = tuple[list[bytes], CharloomError | None]
"""The records of a group, and the error that ended them."""


def _decoding_tasks(
    source: ByteReader, sessions: RecordSessions, index: Index, work: OrderedWork
) -> Iterator[Callable[[], _Decoded]]:
    first = 0
    while size := source.varint():
        if not CHECKSUM_BYTES < size <= MAX_GROUP:
            raise DamagedFileError(
                f"damaged: a group of {size:,} bytes, before byte {source.position:,} of the compressed file; "
                f"records from {first:,} (counted from 0) on are lost"
            )
        body = source.exactly(size)
        try:
            blobs, damaged = decode_group(body)
        except ValueError:
            raise DamagedRecordError(
                f"damaged: a group of records from {first:,} (counted from 0) on is lost", records=(first,)
            ) from None
        index.groups.append(GroupEntry(size, len(blobs)))
        yield functools.partial(_decode, sessions, blobs, damaged, first, work)
        first += len(blobs)


def _decode(
    sessions: RecordSessions, blobs: list[bytes], damaged: tuple[int, ...], first: int, work: OrderedWork
) -> _Decoded:
    records: list[bytes] = []
    room = MAX_GROUP
    for number, blob in enumerate(blobs):
        if work.stopped:
            break
        try:
            if number in damaged:
                raise damaged_records(first, damaged)
            records.append(decode_record(sessions, blob, first + number, room))
            if len(records[-1]) > room:
                raise damaged_records(first + number, (0,))
        except DamagedRecordError as error:
            return records, error
        room -= len(records[-1])
        work.done(len(records[-1]) + 1)
    return records, None


def decode_record(sessions: RecordSessions, blob: bytes, number: int, limit: int = MAX_GROUP) -> bytes:
    """One record whose bytes are as they were written. DamagedRecordError all the same where it cannot be decoded."""
    try:
        return sessions.decode(blob, limit)
    except DamagedRecordError:
        raise damaged_records(number, (0,)) from None


def damaged_records(first: int, numbers: Sequence[int]) -> DamagedRecordError:
    """The error for some records of the group whose first record has number ``first``."""
    records = tuple(first + number for number in numbers)
    shown = ", ".join(f"{number:,}" for number in records[:8]) + (", ..." if len(records) > 8 else "")
    plural = "s" if len(records) > 1 else ""
    verb = "are" if len(records) > 1 else "is"
    return DamagedRecordError(
        f"damaged: record{plural} {shown} (counted from 0) {verb} lost; others can be read", records=records
    )
