"""The numbers of the file format, and its header. ``docs/format.md`` is the specification.

A file is a header, segments, and an end. A segment begins with a number that says how long it is and how it was coded;
a coded one is cut into blocks, each with its payload's length and a running checksum.
"""

import zlib
from dataclasses import dataclass
from typing import get_args

from charloom.codec.byte_reader import ByteReader
from charloom.codec.engine import Mode
from charloom.codec.varint import encode_varint
from charloom.errors import DamagedFileError, LaterVersionError, NotCompressedError, TruncatedFileError

MAGIC = b"\xc7cl"
"""Not the beginning of any UTF-8 text."""
VERSION = 1
FINGERPRINT_BYTES = 8
"""Bytes of the engine's fingerprint that a file names its model by."""
CHECKSUM_BYTES = 4

SEGMENT = 1 << 22
"""Bytes of the original that this writer puts in a segment."""
LARGEST_SEGMENT = 1 << 24
"""What a reader accepts: with it, the memory that it takes is bounded."""
LANES = (1, 4, 8, 16, 32, 64)
"""Numbers of lanes by their code, 0 to 5."""
FEWEST_BYTES_FOR_LANES = 1 << 20
MANY_LANES: dict[Mode, int] = {"fast": 16, "mixing": 16}
LONG_RUN = 6
"""Code: so many bytes as they are, without a checksum of their own; or up to the end of the file."""
STORED = 7
"""Code: so many bytes as they are."""
END = b"\0"
"""A segment of no bytes ends the file."""

_RECORDS = 4
_MODES = {mode: number for number, mode in enumerate(get_args(Mode), 1)}


@dataclass(frozen=True)
class Header:
    """What the first four bytes say: the engine's mode, and whether records follow or one stream."""

    mode: Mode
    records: bool = False

    def to_bytes(self) -> bytes:
        """Magic; version and kind, four bits each."""
        kind = _MODES[self.mode] | (_RECORDS if self.records else 0)
        return MAGIC + bytes([VERSION << 4 | kind])


HEADER_BYTES = len(MAGIC) + 1


def read_header(source: ByteReader) -> Header:
    """The header of a file. NotCompressedError, LaterVersionError or DamagedFileError for anything else."""
    start = source.up_to(HEADER_BYTES)
    if not start:
        raise NotCompressedError("empty: charloom's compressed files are never empty")
    if not MAGIC.startswith(start[: len(MAGIC)]):
        raise NotCompressedError("not a file that charloom compressed (it does not begin as one)")
    if len(start) < HEADER_BYTES:
        raise TruncatedFileError("truncated: it ends within its header")
    version, kind = start[-1] >> 4, start[-1] & 15
    if version > VERSION:
        raise LaterVersionError(
            f"version {version} of the format; this charloom reads version {VERSION}: take a later charloom"
        )
    for mode, number in _MODES.items():
        if version == VERSION and kind & ~_RECORDS == number:
            return Header(mode, bool(kind & _RECORDS))
    raise DamagedFileError(f"damaged: its header names a kind that there is not ({start[-1]:#04x})")


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins so is charloom's."""
    return start.startswith(MAGIC)


def segment_head(length: int, code: int) -> bytes:
    """The number that begins a segment."""
    return encode_varint(length << 3 | code)


def lanes_for(length: int, mode: Mode) -> int:
    """Lanes of a segment of so many bytes: lanes are quicker, and cost a little each, which a short text feels.

    The file says how many there are: what this gives may change without a new version of the format.
    """
    return 1 if length < FEWEST_BYTES_FOR_LANES else MANY_LANES[mode]


def checksum(data: bytes, so_far: int) -> int:
    """CRC-32, running: ``so_far`` is the checksum of what came before."""
    return zlib.crc32(data, so_far)


def first_checksum(position: int) -> int:
    """What a segment's running checksum starts from: where it lies in the original, so that none can be moved."""
    return zlib.crc32(position.to_bytes(8, "little"))


def checksum_bytes(value: int) -> bytes:
    """As a file holds it."""
    return value.to_bytes(CHECKSUM_BYTES, "little")
