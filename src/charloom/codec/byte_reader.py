"""Reading a compressed file piece by piece: counted, never further than asked, never more than there is."""

from typing import BinaryIO

from charloom.codec.varint import LONGEST
from charloom.errors import DamagedFileError, TruncatedFileError

_CHUNK = 1 << 16
"""Bytes asked of the stream at once: a length that lies makes no larger allocation than the bytes behind it."""


class ByteReader:
    """A stream that is read forwards. Where it ends too early TruncatedFileError is raised.

    Attributes:
        position: Bytes handed out so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.position = 0
        self._stream = stream
        self._ahead = bytearray()
        self._ended = False

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        self._look_ahead(count)
        if len(self._ahead) < count:
            raise TruncatedFileError(f"truncated: it ends after {self.position + len(self._ahead):,} bytes, too early")
        return self._take(count)

    def up_to(self, count: int, *, keep: int = 0) -> bytes:
        """As many of the next ``count`` bytes as there are, but for the stream's last ``keep``."""
        self._look_ahead(count + keep)
        return self._take(max(0, min(count, len(self._ahead) - keep)))

    def varint(self) -> int:
        """The next number. DamagedFileError where it is not in the shortest form, or never ends."""
        number = 0
        for count in range(LONGEST):
            byte = self.exactly(1)[0]
            number |= (byte & 0x7F) << 7 * count
            if byte < 0x80:
                if byte == 0 and count:
                    break
                return number
        raise DamagedFileError(f"damaged: a malformed number before byte {self.position:,} of the compressed file")

    def ended(self) -> bool:
        """Whether nothing is left."""
        self._look_ahead(1)
        return not self._ahead

    def _look_ahead(self, count: int) -> None:
        while len(self._ahead) < count and not self._ended:
            data = self._stream.read(min(max(count - len(self._ahead), 1), _CHUNK))
            self._ended = not data
            self._ahead += data

    def _take(self, count: int) -> bytes:
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        self.position += len(data)
        return data
