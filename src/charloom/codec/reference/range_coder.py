"""The range coder in plain Python: the specification of ``kernels/codec/coding/range_coder.h``.

A payload is a number between 0 and 1, written to base 256. Coding something narrows the interval that the number lies
in to a part of it. The interval is ``low`` and ``size``, both in units that shrink by 256 with every byte that is out;
its size is of 64 bits and is kept at 2^48 or more. Bytes that are missing at the end are zeros.
"""

_TOP = 1 << 64
_SMALLEST = 1 << 48
_MASK = _TOP - 1
_LOOK_AHEAD = 8
"""Bytes that a decoder has read before it needs them: as many may be missing."""


class Encoder:
    """Turns parts of the range, and bits, into a payload."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._low = 0
        self._size = _MASK

    def encode(self, start: int, size: int, total: int) -> None:
        """The part from ``start``, ``size`` long, of ``total``; the last part has what division leaves over."""
        self._narrow(*_part(self._size, start, size, total))

    def encode_bit(self, bit: int, p: int) -> None:
        """A bit that is 1 with a probability of ``p`` / 2^16."""
        self._narrow(*_bit_part(self._size, bit, p))

    def finish(self) -> bytes:
        """The payload: of the numbers within the interval that which has the fewest bytes."""
        for count in range(9):
            unit = 1 << (64 - 8 * count)
            end = -(-self._low // unit) * unit
            if end - self._low < self._size:
                break
        if end >= _TOP:
            self._carry()
        return bytes(self._out + (end & _MASK).to_bytes(8, "big")[:count])

    def _narrow(self, start: int, size: int) -> None:
        self._low += start
        if self._low >= _TOP:
            self._low -= _TOP
            self._carry()
        self._size = size
        while self._size < _SMALLEST:
            self._out.append(self._low >> 56)
            self._low = self._low << 8 & _MASK
            self._size <<= 8

    def _carry(self) -> None:
        place = len(self._out) - 1
        while place >= 0 and self._out[place] == 255:
            self._out[place] = 0
            place -= 1
        if place >= 0:
            self._out[place] += 1


class Decoder:
    """The inverse. Every method raises ValueError where more bytes are missing than an encoder leaves out."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._next = 0
        self._size = _MASK
        self._code = 0  # where the number lies, from the interval's start
        for _ in range(_LOOK_AHEAD):
            self._take()

    def find(self, total: int) -> int:
        """Where in ``total`` the number lies. The part around it must then be passed to ``skip``."""
        return min(self._code // (self._size // total), total - 1)

    def skip(self, start: int, size: int, total: int) -> None:
        """Past a part that was encoded."""
        self._narrow(*_part(self._size, start, size, total))

    def decode_bit(self, p: int) -> int:
        """The bit that ``Encoder.encode_bit`` was given."""
        bit = int(self._code < _bit_part(self._size, 1, p)[1])
        self._narrow(*_bit_part(self._size, bit, p))
        return bit

    def finish(self) -> None:
        """Raises ValueError where bytes are left over, which an encoder would not have written."""
        if self._next < len(self._payload):
            raise ValueError("the data go on after their end")

    def _narrow(self, start: int, size: int) -> None:
        self._code -= start
        self._size = size
        while self._size < _SMALLEST:
            self._take()
            self._size <<= 8

    def _take(self) -> None:
        byte = self._payload[self._next] if self._next < len(self._payload) else 0
        self._next += 1
        if self._next > len(self._payload) + _LOOK_AHEAD:
            raise ValueError("the data end too early")
        self._code = (self._code << 8 | byte) & _MASK


def _part(whole: int, start: int, size: int, total: int) -> tuple[int, int]:
    """Start and size of a part of an interval."""
    unit = whole // total
    return start * unit, size * unit if start + size < total else whole - start * unit


def _bit_part(whole: int, bit: int, p: int) -> tuple[int, int]:
    ones = (whole >> 16) * p
    return (0, ones) if bit else (ones, whole - ones)
