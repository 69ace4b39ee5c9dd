"""The contents of a compressed file that are known without its model: lengths, mode, fingerprint, records."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from charloom_codec.arguments import check_stream
from charloom_codec.engines.engine import Mode
from charloom_codec.errors import DamagedFileError
from charloom_codec.format.container import CHECKSUM_BYTES, ByteReader, Header, decode_varint, read_headers
from charloom_codec.format.segments import STORED, read_segment
from charloom_codec.records.groups import INDEX_DAMAGED, INDEX_SIZE_BYTES, MAX_GROUP, Index


@dataclass(frozen=True)
class Member:
    """A compressed file, or one of several that were joined.

    Attributes:
        mode: Mode of the engine.
        fingerprint: First bytes of the engine's fingerprint.
        compressed_bytes: Length of the member.
        original_bytes: Length of the original; None for records, whose lengths are not stored.
        num_records: Number of records; None for a stream.
        is_stored: True if no model is needed, because the whole original is stored uncompressed.
        checksum: CRC-32 at the end of the member: of the last segment of a stream, or of all records.
    """

    mode: Mode
    fingerprint: bytes
    compressed_bytes: int
    original_bytes: int | None
    num_records: int | None
    is_stored: bool
    checksum: int


def list_members(source: BinaryIO) -> Iterator[Member]:
    """Yields the members of a compressed file. Nothing is decompressed, and no checksum of the original is verified.

    Args:
        source: Binary stream.

    Raises:
        CompressedFileError: The file is not a compressed file, is truncated, or its structure is damaged.
    """
    check_stream("read", source=source)
    reader = ByteReader(source)
    start = 0
    for header in read_headers(reader):
        member = _read_records(reader, header, start) if header.records else _read_segments(reader, header, start)
        yield member
        start = reader.position


def _read_segments(reader: ByteReader, header: Header, start: int) -> Member:
    position = num_segments = 0
    checksum = b""
    is_stored = True
    while head := reader.read_varint():
        segment = read_segment(reader, head, position)
        if segment.error is not None:
            raise segment.error
        checksum = segment.blocks[-1][1]
        position += segment.length
        num_segments += 1
        is_stored &= segment.code == STORED
    if num_segments != 1:
        checksum = reader.read_exactly(CHECKSUM_BYTES)
    length = reader.position - start
    number = int.from_bytes(checksum, "little")
    return Member(header.mode, header.fingerprint, length, position, None, is_stored, number)


def _read_records(reader: ByteReader, header: Header, start: int) -> Member:
    groups = []
    while size := reader.read_varint():
        if not CHECKSUM_BYTES < size <= MAX_GROUP:
            raise DamagedFileError(f"damaged: an invalid group size just before byte {reader.position:,}")
        try:
            groups.append((size, decode_varint(reader.read_exactly(size))[0]))
        except ValueError:
            raise DamagedFileError(f"damaged: an invalid group before byte {reader.position:,}") from None
    stored = reader.read_exactly(len(Index(groups).to_bytes()))
    index = Index.from_bytes(stored[:-INDEX_SIZE_BYTES])
    if index.groups != groups:
        raise DamagedFileError(INDEX_DAMAGED)
    num_records = sum(count for _, count in groups)
    length = reader.position - start
    return Member(header.mode, header.fingerprint, length, None, num_records, False, index.checksum)
