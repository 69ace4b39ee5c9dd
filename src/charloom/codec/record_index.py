"""The end of a file of records: which groups there are, so that one record is found without reading the others."""

import itertools
from dataclasses import dataclass, field

from charloom.codec.byte_reader import ByteReader
from charloom.codec.container import CHECKSUM_BYTES, checksum, checksum_bytes
from charloom.codec.record_groups import LARGEST_GROUP, MOST_RECORDS
from charloom.codec.varint import LONGEST, decode_varint, encode_varint
from charloom.errors import DamagedFileError

NO_MORE_GROUPS = b"\0"
FOOTER_BYTES = 4
_OPEN_END = 1
_DAMAGED = "damaged: the index of the records (the file's end)"


@dataclass(frozen=True)
class GroupEntry:
    """One group: its bytes in the file, the number that begins it included, and its records."""

    size: int
    count: int

    @classmethod
    def of(cls, body: bytes, count: int) -> "GroupEntry":
        """From a group's bytes after its first number."""
        return cls(len(encode_varint(len(body))) + len(body), count)

    @property
    def head_size(self) -> int:
        """Bytes of the number that begins it. It stands in the file once more, where it may be damaged."""
        for size in range(1, min(self.size, 9)):
            if len(encode_varint(self.size - size)) == size:
                return size
        raise ValueError(f"no group takes {self.size} bytes")


@dataclass
class Index:
    """What stands behind the groups.

    Attributes:
        groups: In order.
        checksum: CRC-32 of all records, each followed by a line feed.
        open_end: Whether the text that the records were lines of did not end with a line feed.
    """

    groups: list[GroupEntry] = field(default_factory=list)
    checksum: int = 0
    open_end: bool = False

    def to_bytes(self) -> bytes:
        """Flags, number of groups, size and count of each, checksum of the records, of the index; its length."""
        data = bytes([_OPEN_END if self.open_end else 0]) + encode_varint(len(self.groups))
        data += b"".join(encode_varint(group.size) + encode_varint(group.count) for group in self.groups)
        data += checksum_bytes(self.checksum)
        data += checksum_bytes(checksum(data, 0))
        return data + len(data).to_bytes(FOOTER_BYTES, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Index":
        """The index without its last FOOTER_BYTES. DamagedFileError."""
        if len(data) < 2 * CHECKSUM_BYTES + 2 or checksum_bytes(checksum(data[:-CHECKSUM_BYTES], 0)) != data[-4:]:
            raise DamagedFileError(_DAMAGED)
        body, end = data[: -2 * CHECKSUM_BYTES], data[-2 * CHECKSUM_BYTES : -CHECKSUM_BYTES]
        try:
            count, place = decode_varint(body, 1)
            groups = []
            while place < len(body):
                size, place = decode_varint(body, place)
                records, place = decode_varint(body, place)
                if not CHECKSUM_BYTES < size <= LARGEST_GROUP + LONGEST or not 0 < records <= MOST_RECORDS:
                    raise ValueError
                groups.append(GroupEntry(size, records))
                _ = groups[-1].head_size  # ValueError where no group takes so many bytes
            if len(groups) != count or body[0] & ~_OPEN_END:
                raise ValueError
        except ValueError:
            raise DamagedFileError(_DAMAGED) from None
        return cls(groups, int.from_bytes(end, "little"), bool(body[0] & _OPEN_END))

    @classmethod
    def read(cls, source: ByteReader) -> "Index":
        """The index, where reading has come to it."""
        data = bytearray(source.exactly(1))
        numbers = source.varint()
        data += encode_varint(numbers)
        for _ in range(2 * numbers):
            data += encode_varint(source.varint())
        data += source.exactly(2 * CHECKSUM_BYTES)
        if source.exactly(FOOTER_BYTES) != len(data).to_bytes(FOOTER_BYTES, "little"):
            raise DamagedFileError(_DAMAGED)
        return cls.from_bytes(bytes(data))

    def starts(self) -> tuple[list[int], list[int]]:
        """Where each group begins: bytes behind the file's header, and the number of its first record."""
        sizes = itertools.accumulate((group.size for group in self.groups), initial=0)
        counts = itertools.accumulate((group.count for group in self.groups), initial=0)
        return list(sizes), list(counts)
