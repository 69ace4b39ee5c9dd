"""The parts of a compressed file: its header, its numbers, its checksums. ``docs/format.md`` is the specification."""

from dataclasses import dataclass
from typing import BinaryIO, get_args

from charloom.codec.engines.engine import Mode
from charloom.errors import DamagedFileError, LaterVersionError, NotCompressedError, TruncatedFileError

MAGIC = b"\xc7cl"
"""Not the beginning of any UTF-8 text."""
VERSION = 1
FINGERPRINT_BYTES = 8
"""Bytes of the engine's fingerprint that a file names its model by."""
HEADER_BYTES = len(MAGIC) + 1 + FINGERPRINT_BYTES
CHECKSUM_BYTES = 4
END = b"\0"
"""The number 0 ends a file's segments, or its groups of records."""
MAX_VARINT = 8
"""Bytes of the longest number: numbers are below 2^56."""

_RECORDS = 4
_MODES = {mode: number for number, mode in enumerate(get_args(Mode), 1)}
_CHUNK = 1 << 16
"""Bytes asked of the stream at once: a length that lies makes no larger allocation than the bytes behind it."""


def encode_varint(number: int) -> bytes:
    """A number below 2^56 as a varint: seven bits a byte, the lowest first, the high bit set on all but the last."""
    assert 0 <= number < 1 << 7 * MAX_VARINT
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def decode_varint(data: bytes, start: int = 0) -> tuple[int, int]:
    """The number that begins at ``start``, and where it ends. ValueError if it is cut short or too long."""
    number = 0
    for count, byte in enumerate(data[start : start + MAX_VARINT]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if byte == 0 and count:
                raise ValueError("a number is not in its shortest form")
            return number, start + count + 1
    raise ValueError("a number has no end")


def checksum_bytes(value: int) -> bytes:
    """A CRC-32 as a file holds it."""
    return value.to_bytes(CHECKSUM_BYTES, "little")


class ByteReader:
    """A stream that is read forwards, never further than asked.

    Attributes:
        position: Bytes handed out so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.position = 0
        self._stream = stream
        self._ahead = bytearray()

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes. TruncatedFileError if the stream ends before."""
        self._look_ahead(count)
        if len(self._ahead) < count:
            raise TruncatedFileError(f"truncated: it ends after {self.position + len(self._ahead):,} bytes, too early")
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        self.position += count
        return data

    def varint(self) -> int:
        """The next number. DamagedFileError if it is not in the shortest form, or never ends."""
        data = self.exactly(1)
        while data[-1] >= 0x80 and len(data) < MAX_VARINT:
            data += self.exactly(1)
        try:
            return decode_varint(data)[0]
        except ValueError:
            raise DamagedFileError(
                f"damaged: a malformed number before byte {self.position:,} of the compressed file"
            ) from None

    def starts_with(self, data: bytes) -> bool:
        """Tells if the stream continues with these bytes, or ends within them."""
        self._look_ahead(len(data))
        return data.startswith(self._ahead[: len(data)])

    def ended(self) -> bool:
        """If nothing is left."""
        self._look_ahead(1)
        return not self._ahead

    def _look_ahead(self, count: int) -> None:
        while len(self._ahead) < count and (data := self._stream.read(min(count - len(self._ahead), _CHUNK))):
            self._ahead += data


@dataclass(frozen=True)
class Header:
    """The first bytes of a file.

    Attributes:
        mode: The engine's.
        fingerprint: The first FINGERPRINT_BYTES of the engine's.
        records: If records follow, instead of one stream.
    """

    mode: Mode
    fingerprint: bytes
    records: bool = False

    def to_bytes(self) -> bytes:
        """Magic; version and kind, four bits each; fingerprint."""
        kind = _MODES[self.mode] | (_RECORDS if self.records else 0)
        return MAGIC + bytes([VERSION << 4 | kind]) + self.fingerprint[:FINGERPRINT_BYTES]

    @classmethod
    def read(cls, source: ByteReader) -> "Header":
        """The header of a file. NotCompressedError, LaterVersionError or DamagedFileError for anything else."""
        if source.ended():
            raise NotCompressedError("empty: charloom's compressed files are never empty")
        if not source.starts_with(MAGIC):
            raise NotCompressedError("not a file that charloom compressed (it does not begin as one)")
        byte = source.exactly(len(MAGIC) + 1)[-1]
        version, kind = byte >> 4, byte & 15
        if version > VERSION:
            raise LaterVersionError(
                f"version {version} of the format; this charloom reads version {VERSION}: take a later charloom"
            )
        for mode, number in _MODES.items():
            if version == VERSION and kind & ~_RECORDS == number:
                return cls(mode, source.exactly(FINGERPRINT_BYTES), bool(kind & _RECORDS))
        raise DamagedFileError(f"damaged: its header names a kind that does not exist ({byte:#04x})")


def is_compressed(start: bytes) -> bool:
    """If a file that begins so is charloom's."""
    return start.startswith(MAGIC)
