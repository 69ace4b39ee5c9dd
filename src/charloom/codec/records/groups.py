"""Groups of records in a file, with checksums that tell which records are damaged; and the index of the groups.

The checksums form a grid: records stand in rows and columns, and each row and each column has one. A damaged record
fails both of its own, so that the others are still known to be good, at a fraction of a byte for each.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from zlib import crc32

from charloom.codec.format.container import CHECKSUM_BYTES, checksum_bytes, decode_varint, encode_varint
from charloom.errors import DamagedFileError

GROUP_RECORDS = 1024
"""Records that this writer puts in a group."""
GROUP_BYTES = 1 << 18
"""Bytes of the original after which it ends a group."""
MAX_GROUP = 1 << 25
"""Bytes of a group, compressed or not, that a reader accepts."""
MAX_RECORDS = 1 << 16
"""Records of a group that a reader accepts."""
INDEX_SIZE_BYTES = 4
"""The file ends with the index's size in so many bytes."""
INDEX_DAMAGED = "damaged: the index of the records (the file's end)"
_OPEN_END = 1
_MAX_RICE = 24
_MAX_LENGTH = 4
"""Bytes of a length in Rice's code, on average: with the best k it has at most 24 low bits and a few ones."""


Group: TypeAlias = tuple[list[bytes], tuple[int, ...]]
"""The records of a group, as RecordSessions made them; numbers within it of those that are not what was written."""


def encode_group(blobs: Sequence[bytes]) -> bytes:
    """The group's bytes: count, lengths, records, checksums of rows and columns, of everything."""
    body = encode_varint(len(blobs)) + _encode_lengths([len(blob) for blob in blobs]) + b"".join(blobs)
    body += b"".join(checksum_bytes(value) for value in _grid(blobs))
    return body + checksum_bytes(crc32(body))


def decode_group(body: bytes) -> Group:
    """The inverse. ValueError if not even the lengths make sense."""
    whole = checksum_bytes(crc32(body[:-CHECKSUM_BYTES])) == body[-CHECKSUM_BYTES:]
    count, place = decode_varint(body)
    if not 0 < count <= MAX_RECORDS:
        raise ValueError("no such group")
    lengths, place = _decode_lengths(body, place, count)
    width, height = _shape(count)
    grid_start = len(body) - CHECKSUM_BYTES * (1 + height + width)
    if place + sum(lengths) != grid_start:
        raise ValueError("lengths that do not fit")
    ends = [place, *itertools.accumulate(lengths, initial=place)][1:]
    blobs = [body[start:end] for start, end in itertools.pairwise(ends)]
    if whole:
        return blobs, ()
    found = [checksum_bytes(value) for value in _grid(blobs)]
    stored = [body[start : start + CHECKSUM_BYTES] for start in range(grid_start, len(body), CHECKSUM_BYTES)][:-1]
    good = [mine == theirs for mine, theirs in zip(found, stored, strict=True)]
    damaged = tuple(n for n in range(count) if not good[n // width] and not good[height + n % width])
    return blobs, damaged


def _shape(count: int) -> tuple[int, int]:
    """Width and height of the grid."""
    width = math.isqrt(count - 1) + 1
    return width, -(-count // width)


def _grid(blobs: Sequence[bytes]) -> list[int]:
    """Checksums of the rows, then of the columns. Each record is preceded by its number, so that none can move."""
    width, height = _shape(len(blobs))
    values = [0] * (height + width)
    for number, blob in enumerate(blobs):
        for place in (number // width, height + number % width):
            values[place] = crc32(blob, crc32(number.to_bytes(4, "little"), values[place]))
    return values


def _encode_lengths(lengths: Sequence[int]) -> bytes:
    """A usual length, k, and in Rice's code (1979) how each differs: 0, -1, 1, -2, ... as 0, 1, 2, 3, ...

    That is: as many ones as it has units of 2^k, a zero, and its k low bits; filled up to a byte with zeros.
    """
    usual = sorted(lengths)[len(lengths) // 2]
    numbers = [2 * (length - usual) if length >= usual else 2 * (usual - length) - 1 for length in lengths]
    k = min(range(_MAX_RICE + 1), key=lambda k: sum(n >> k for n in numbers) + k * len(numbers))
    bits = "".join("1" * (n >> k) + format(n & (1 << k) - 1, f"0{k + 1}b") for n in numbers)
    bits += "0" * (-len(bits) % 8)
    return encode_varint(usual) + bytes([k]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _decode_lengths(body: bytes, place: int, count: int) -> tuple[list[int], int]:
    """The lengths, and where they end. ValueError."""
    usual, place = decode_varint(body, place)
    k, coded = int.from_bytes(body[place : place + 1]), body[place + 1 : place + 1 + _MAX_LENGTH * count]
    bits = format(int.from_bytes(coded, "big"), f"0{8 * len(coded)}b")
    lengths = []
    at = 0
    for _ in range(count):
        zero = bits.find("0", at)
        if zero < 0 or zero + k >= len(bits) or k > _MAX_RICE:
            raise ValueError("lengths are damaged")
        number = (zero - at) << k | int("0" + bits[zero + 1 : zero + 1 + k], 2)
        lengths.append(usual - (number + 1) // 2 if number & 1 else usual + number // 2)
        at = zero + 1 + k
    if min(lengths) < 0:
        raise ValueError("lengths are damaged")
    return lengths, place + 1 - (-at // 8)


@dataclass(frozen=True)
class GroupEntry:
    """One group: the bytes that ``encode_group`` gave, and its records. In the file its size stands before it."""

    size: int
    count: int

    @property
    def head_size(self) -> int:
        """Bytes of the number before it, which may be damaged."""
        return len(encode_varint(self.size))


@dataclass
class Index:
    """The end of a file of records, so that one record is found without reading the others.

    Attributes:
        groups: In order.
        checksum: CRC-32 of all records, each followed by a line feed.
        open_end: If the text that the records were lines of did not end with a line feed.
    """

    groups: list[GroupEntry] = field(default_factory=list)
    checksum: int = 0
    open_end: bool = False

    def to_bytes(self) -> bytes:
        """Flags; number of groups, size and count of each; checksum of the records, of the index; its size."""
        data = bytes([_OPEN_END if self.open_end else 0]) + encode_varint(len(self.groups))
        data += b"".join(encode_varint(group.size) + encode_varint(group.count) for group in self.groups)
        data += checksum_bytes(self.checksum)
        data += checksum_bytes(crc32(data))
        return data + len(data).to_bytes(INDEX_SIZE_BYTES, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Index":
        """The index without its size. DamagedFileError."""
        if checksum_bytes(crc32(data[:-CHECKSUM_BYTES])) != data[-CHECKSUM_BYTES:]:
            raise DamagedFileError(INDEX_DAMAGED)
        body, end = data[: -2 * CHECKSUM_BYTES], data[-2 * CHECKSUM_BYTES : -CHECKSUM_BYTES]
        try:
            count, place = decode_varint(body, 1)
            groups = []
            while place < len(body):
                size, place = decode_varint(body, place)
                records, place = decode_varint(body, place)
                if not CHECKSUM_BYTES < size <= MAX_GROUP or not 0 < records <= MAX_RECORDS:
                    raise ValueError
                groups.append(GroupEntry(size, records))
            if len(groups) != count or body[0] & ~_OPEN_END:
                raise ValueError
        except ValueError:
            raise DamagedFileError(INDEX_DAMAGED) from None
        return cls(groups, int.from_bytes(end, "little"), bool(body[0] & _OPEN_END))

    def starts(self) -> tuple[list[int], list[int]]:
        """Returns for each group, and the end, the bytes of the groups before it and the number of its first record."""
        sizes = itertools.accumulate((group.head_size + group.size for group in self.groups), initial=0)
        counts = itertools.accumulate((group.count for group in self.groups), initial=0)
        return list(sizes), list(counts)
