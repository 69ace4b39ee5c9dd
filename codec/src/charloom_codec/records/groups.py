"""Groups of records in a file, with checksums that locate damaged records, and the index of the groups.

The checksums form a grid: the records of a group are arranged in rows and columns, and each row and each column has a
checksum. If a record is damaged, both of its checksums differ; the other records are known to be intact. This takes a
fraction of a byte for each record.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from zlib import crc32

from charloom_codec.errors import DamagedFileError
from charloom_codec.format.container import CHECKSUM_BYTES, decode_varint, encode_checksum, encode_varint

GROUP_RECORDS = 1024
"""Number of records in each group that this version writes."""
GROUP_BYTES = 1 << 18
"""Bytes of the original after which this version ends a group."""
MAX_GROUP = 1 << 25
"""Maximum bytes of a group, compressed or not, that a reader accepts."""
MAX_RECORDS = 1 << 16
"""Maximum number of records in a group that a reader accepts."""
INDEX_SIZE_BYTES = 4
"""Bytes of the index's size, which is at the end of the file."""
INDEX_DAMAGED = "damaged: the index of the records at the end of the file cannot be read"
_OPEN_END = 1
_MAX_RICE = 24
_MAX_LENGTH = 4
"""Maximum mean bytes of a length in Rice's code: with the best k it has at most 24 low bits and a few ones."""


Group: TypeAlias = tuple[list[bytes], tuple[int, ...]]
"""Coded records of a group, and the numbers within the group of the damaged ones."""


def encode_group(blobs: Sequence[bytes]) -> bytes:
    """Returns the bytes of a group: count, lengths, records, checksums of rows and columns, checksum of all."""
    body = encode_varint(len(blobs)) + _encode_lengths([len(blob) for blob in blobs]) + b"".join(blobs)
    # The checksums cover the coded records, so that damage is found without decoding.
    body += b"".join(encode_checksum(value) for value in _compute_checksums(blobs))
    return body + encode_checksum(crc32(body))


def decode_group(body: bytes) -> Group:
    """Returns the group of the bytes that ``encode_group`` returned. Raises ValueError if the lengths are damaged."""
    is_intact = encode_checksum(crc32(body[:-CHECKSUM_BYTES])) == body[-CHECKSUM_BYTES:]
    count, position = decode_varint(body)
    if not 0 < count <= MAX_RECORDS:
        raise ValueError(f"a group cannot have {count} records")
    lengths, position = _decode_lengths(body, position, count)
    width, height = _compute_shape(count)
    grid_start = len(body) - CHECKSUM_BYTES * (1 + height + width)
    if position + sum(lengths) != grid_start:
        raise ValueError("lengths are damaged")
    ends = [position, *itertools.accumulate(lengths, initial=position)][1:]
    blobs = [body[start:end] for start, end in itertools.pairwise(ends)]
    # One checksum is much faster than the grid, which is needed only to locate damage.
    if is_intact:
        return blobs, ()
    computed = [encode_checksum(value) for value in _compute_checksums(blobs)]
    stored = [body[start : start + CHECKSUM_BYTES] for start in range(grid_start, len(body), CHECKSUM_BYTES)][:-1]
    matches = [value == expected for value, expected in zip(computed, stored, strict=True)]
    # If several records are damaged, an intact one may share a row with one and a column with another. It then counts
    # as damaged too.
    damaged = tuple(n for n in range(count) if not matches[n // width] and not matches[height + n % width])
    return blobs, damaged


def _compute_shape(count: int) -> tuple[int, int]:
    """Returns width and height of the grid."""
    # As square as possible, which minimizes the number of checksums. The last row may be shorter.
    width = math.isqrt(count - 1) + 1
    return width, -(-count // width)


def _compute_checksums(blobs: Sequence[bytes]) -> list[int]:
    """Returns the checksums of the rows, then those of the columns."""
    width, height = _compute_shape(len(blobs))
    values = [0] * (height + width)
    for number, blob in enumerate(blobs):
        for position in (number // width, height + number % width):
            # The checksum includes the record's number, so that exchanged records are detected too.
            values[position] = crc32(blob, crc32(number.to_bytes(4, "little"), values[position]))
    return values


def _encode_lengths(lengths: Sequence[int]) -> bytes:
    """Returns the median length, k, and the differences from the median in Rice's code (1979).

    The differences 0, -1, 1, -2, ... are numbered 0, 1, 2, 3, ... The code of a number is a one for each unit of 2^k, a
    zero, and the k low bits. The last byte is padded with zeros.
    """
    median = sorted(lengths)[len(lengths) // 2]
    numbers = [2 * (length - median) if length >= median else 2 * (median - length) - 1 for length in lengths]
    # There are few values of k, so all are tried.
    k = min(range(_MAX_RICE + 1), key=lambda k: sum(n >> k for n in numbers) + k * len(numbers))
    bits = "".join("1" * (n >> k) + format(n & (1 << k) - 1, f"0{k + 1}b") for n in numbers)
    bits += "0" * (-len(bits) % 8)
    return encode_varint(median) + bytes([k]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _decode_lengths(body: bytes, position: int, count: int) -> tuple[list[int], int]:
    """Returns the lengths and the index of their end. Raises ValueError if they are damaged."""
    median, position = decode_varint(body, position)
    # The bound keeps a damaged group from being converted to bits as a whole.
    k, coded = int.from_bytes(body[position : position + 1]), body[position + 1 : position + 1 + _MAX_LENGTH * count]
    bits = format(int.from_bytes(coded, "big"), f"0{8 * len(coded)}b")
    lengths = []
    bit_position = 0
    for _ in range(count):
        # A string of digits, because `find` searches it without a loop over bits.
        zero = bits.find("0", bit_position)
        # A damaged k could request a huge shift.
        if zero < 0 or zero + k >= len(bits) or k > _MAX_RICE:
            raise ValueError("lengths are damaged")
        number = (zero - bit_position) << k | int("0" + bits[zero + 1 : zero + 1 + k], 2)
        lengths.append(median - (number + 1) // 2 if number & 1 else median + number // 2)
        bit_position = zero + 1 + k
    if min(lengths) < 0:
        raise ValueError("lengths are damaged")
    return lengths, position + 1 - (-bit_position // 8)


@dataclass
class Index:
    """Index at the end of a file of records, with which a record is found without reading the others.

    Attributes:
        groups: Number of bytes from ``encode_group`` and number of records of each group, in order.
        checksum: CRC-32 of all records, each followed by a line feed.
        open_end: True if the records are the lines of a text that does not end with a line feed.
    """

    groups: list[tuple[int, int]] = field(default_factory=list)
    checksum: int = 0
    open_end: bool = False

    def to_bytes(self) -> bytes:
        """Returns flags, number of groups, size and count of each, checksums of records and index, size of the index.

        The size is last, so that a reader finds the index from the end of the file.
        """
        data = bytes([_OPEN_END if self.open_end else 0]) + encode_varint(len(self.groups))
        data += b"".join(encode_varint(size) + encode_varint(count) for size, count in self.groups)
        data += encode_checksum(self.checksum)
        data += encode_checksum(crc32(data))
        return data + len(data).to_bytes(INDEX_SIZE_BYTES, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Index":
        """Returns the index of its bytes without the size. Raises DamagedFileError if they are damaged."""
        if encode_checksum(crc32(data[:-CHECKSUM_BYTES])) != data[-CHECKSUM_BYTES:]:
            raise DamagedFileError(INDEX_DAMAGED)
        body, end = data[: -2 * CHECKSUM_BYTES], data[-2 * CHECKSUM_BYTES : -CHECKSUM_BYTES]
        try:
            count, position = decode_varint(body, 1)
            groups = []
            while position < len(body):
                size, position = decode_varint(body, position)
                records, position = decode_varint(body, position)
                if not CHECKSUM_BYTES < size <= MAX_GROUP or not 0 < records <= MAX_RECORDS:
                    raise ValueError
                groups.append((size, records))
            if len(groups) != count or body[0] & ~_OPEN_END:
                raise ValueError
        except ValueError:
            raise DamagedFileError(INDEX_DAMAGED) from None
        return cls(groups, int.from_bytes(end, "little"), bool(body[0] & _OPEN_END))

    def compute_starts(self) -> tuple[list[int], list[int]]:
        """Returns for each group, and the end, the bytes of the groups before it and the number of its first record."""
        # In the file, each group is preceded by its size.
        sizes = itertools.accumulate((len(encode_varint(size)) + size for size, _ in self.groups), initial=0)
        counts = itertools.accumulate((count for _, count in self.groups), initial=0)
        return list(sizes), list(counts)
