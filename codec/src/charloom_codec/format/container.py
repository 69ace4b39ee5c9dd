"""Header, varints and checksums of compressed files; ``docs/format.md`` is the specification."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, get_args

from charloom_codec.engines.engine import Mode
from charloom_codec.errors import (
    DamagedFileError,
    InputError,
    LaterVersionError,
    NotCompressedError,
    TrailingDataError,
    TruncatedFileError,
    pluralize,
)

MAGIC = b"\xc7cl"
"""First bytes of a compressed file; no UTF-8 text starts with them."""
VERSION = 1
FINGERPRINT_BYTES = 8
"""Bytes of the engine's fingerprint that a file contains to name its model."""
HEADER_BYTES = len(MAGIC) + 1 + FINGERPRINT_BYTES
CHECKSUM_BYTES = 4
END = b"\0"
"""The varint 0, which ends the segments or the groups of records of a file."""
MAX_VARINT = 8
"""Bytes of the longest varint: numbers are below 2^56."""
NON_BLOCKING = "the stream is non-blocking: pass a blocking one"

_RECORDS = 4
_MODES = {mode: number for number, mode in enumerate(get_args(Mode), 1)}
_CHUNK = 1 << 16
"""Bytes requested from the stream at once, so that a wrong length allocates no more memory than there is data."""


def encode_varint(number: int) -> bytes:
    """Returns a number below 2^56 as a varint (LEB128): 7 bits in each byte, the lowest first.

    The high bit is set in all bytes but the last. Raises AssertionError for a larger number.
    """
    assert 0 <= number < 1 << 7 * MAX_VARINT  # no caller has larger numbers
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def decode_varint(data: bytes, start: int = 0) -> tuple[int, int]:
    """Returns the varint at ``start`` and the index of its end.

    Raises ValueError if the varint is truncated, too long or not in its shortest form.
    """
    number = 0
    for count, byte in enumerate(data[start : start + MAX_VARINT]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            # One form for each number: otherwise a changed file could decompress to the same bytes unnoticed.
            if byte == 0 and count:
                raise ValueError("a varint is not in its shortest form")
            return number, start + count + 1
    raise ValueError("a varint is truncated or too long")


def encode_checksum(crc: int) -> bytes:
    """Returns a CRC-32 as 4 bytes, little-endian."""
    return crc.to_bytes(CHECKSUM_BYTES, "little")


def check_read(data: bytes | None) -> bytes:
    """Returns the result of a stream's ``read``. Raises InputError if it is None, which does not mean the end."""
    if data is None:
        raise InputError(NON_BLOCKING)
    return data


class ByteReader:
    """Reader of a stream that is read forwards, and never further than requested.

    Attributes:
        position: Number of bytes returned so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.position = 0
        self._stream = stream
        self._ahead = bytearray()

    def read_exactly(self, count: int) -> bytes:
        """Returns the next ``count`` bytes.

        Raises TruncatedFileError, and consumes nothing, if the stream ends before.
        """
        self._look_ahead(count)
        if len(self._ahead) < count:
            raise TruncatedFileError(
                f"truncated: the file ends too early, after {pluralize(self.position + len(self._ahead), 'byte')}"
            )
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        self.position += count
        return data

    def read_varint(self) -> int:
        """Returns the next varint.

        Raises DamagedFileError if it is too long or not in its shortest form, and TruncatedFileError if the stream ends
        before it does.
        """
        # Byte by byte, because reading further than requested could block.
        data = self.read_exactly(1)
        while data[-1] >= 0x80 and len(data) < MAX_VARINT:
            data += self.read_exactly(1)
        try:
            return decode_varint(data)[0]
        except ValueError:
            raise DamagedFileError(
                f"damaged: an invalid varint before byte {self.position:,} of the compressed file"
            ) from None

    def starts_with(self, data: bytes) -> bool:
        """Returns whether the stream continues with these bytes or ends within them, without consuming them.

        Unlike ``is_compressed``, it returns True for a start that is too short.
        """
        # A truncated header counts as a header, so that the error is "truncated", not "not compressed".
        self._look_ahead(len(data))
        return data.startswith(self._ahead[: len(data)])

    def is_at_end(self) -> bool:
        """Returns whether no bytes are left."""
        self._look_ahead(1)
        return not self._ahead

    def _look_ahead(self, count: int) -> None:
        while len(self._ahead) < count:
            # A pipe may return less than requested before its end.
            data = check_read(self._stream.read(min(count - len(self._ahead), _CHUNK)))
            if not data:
                break
            self._ahead += data


@dataclass(frozen=True)
class Header:
    """Header of a compressed file.

    Attributes:
        mode: Mode of the engine.
        fingerprint: First FINGERPRINT_BYTES of the engine's fingerprint, or all of it when a file is written.
        records: True if records follow, False if a single stream follows.
    """

    mode: Mode
    fingerprint: bytes
    records: bool = False

    def to_bytes(self) -> bytes:
        """Returns the magic bytes, version and kind of 4 bits each, and the first bytes of the fingerprint."""
        kind = _MODES[self.mode] | (_RECORDS if self.records else 0)
        return MAGIC + bytes([VERSION << 4 | kind]) + self.fingerprint[:FINGERPRINT_BYTES]

    @classmethod
    def read(cls, source: ByteReader) -> "Header":
        """Returns the header of a file.

        Raises:
            NotCompressedError: The file is empty, or charloom did not write it.
            LaterVersionError: The format is of a later version.
            DamagedFileError: The kind of the file does not exist, or the version is 0.
            TruncatedFileError: The file ends within the header.
        """
        if source.is_at_end():
            raise NotCompressedError("not a file compressed by charloom (it is empty)")
        if not source.starts_with(MAGIC):
            raise NotCompressedError("not a file compressed by charloom (wrong magic number)")
        byte = source.read_exactly(len(MAGIC) + 1)[-1]
        version, kind = byte >> 4, byte & 15
        # The version comes first, because later versions may define other kinds.
        if version > VERSION:
            raise LaterVersionError(
                f"the file has format version {version}, but this version of charloom reads format version {VERSION}: "
                "install a later version of charloom"
            )
        for mode, number in _MODES.items():
            # All other bits must be 0, so that later versions can use them.
            if version == VERSION and kind & ~_RECORDS == number:
                return cls(mode, source.read_exactly(FINGERPRINT_BYTES), bool(kind & _RECORDS))
        raise DamagedFileError(f"damaged: the header contains an unknown kind ({byte:#04x})")


def read_headers(source: ByteReader) -> Iterator[Header]:
    """Yields the header of each compressed file in a stream of one or several that were joined.

    The caller reads each file to its end before it requests the next header.

    Raises:
        CompressedFileError: As for ``Header.read``; a TrailingDataError if something else follows a compressed file.
    """
    yield Header.read(source)
    while not source.is_at_end():
        if not source.starts_with(MAGIC):
            raise TrailingDataError(
                f"data that charloom did not compress follows the end of the compressed file, at byte "
                f"{source.position:,}: remove it"
            )
        yield Header.read(source)


def is_compressed(start: bytes) -> bool:
    """Returns whether charloom compressed the file that starts with these bytes; False if they are too few."""
    return start.startswith(MAGIC)
