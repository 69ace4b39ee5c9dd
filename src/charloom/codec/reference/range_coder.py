"""The range coder in plain Python: the specification of ``kernels/codec/coding/range_coder.h``.

A payload is a number between 0 and 1, written to base 256. Coding something narrows the interval that the number lies
in to a part of it. The interval is ``low`` and ``size``, both in units that shrink by 256 with every byte that is out;
its size is of 64 bits and is kept at 2^48 or more. Bytes that are missing at the end are zeros.
"""

_TOP = 1 << 64
_MIN_VALUE = 1 << 48
_MASK = _TOP - 1
_LOOK_AHEAD = 8
"""Bytes that a decoder has read before it needs them: as many may be missing."""


class Coder:
    """Base of encoder and decoder: narrows the interval to a part of it.

    Attributes:
        size: Of the interval.
        number: Of a decoder: where the number lies, from the interval's start.
    """

    def __init__(self) -> None:
        self.size = _MASK
        self.number = 0

    def take(self, start: int, size: int, total: int) -> None:
        """The part from ``start``, ``size`` long, of ``total``; the last part has what division leaves over."""
        unit = self.size // total
        self._narrow(start * unit, size * unit if start + size < total else self.size - start * unit)

    def code_bit(self, bit: int | None, p: int) -> int:
        """A bit that is 1 with a probability of ``p`` / 2^16; a decoder gives it."""
        ones = (self.size >> 16) * p
        if bit is None:
            bit = int(self.number < ones)
        self._narrow(*((0, ones) if bit else (ones, self.size - ones)))
        return bit

    def _narrow(self, start: int, size: int) -> None:
        self._move(start)
        self.size = size
        while self.size < _MIN_VALUE:
            self._shift()
            self.size <<= 8

    def _move(self, start: int) -> None:
        """Moves the interval's start."""
        raise NotImplementedError

    def _shift(self) -> None:
        """Goes on by a byte of the payload."""
        raise NotImplementedError


class Encoder(Coder):
    """Turns parts of the range, and bits, into a payload."""

    def __init__(self) -> None:
        super().__init__()
        self._out = bytearray()
        self._low = 0

    def finish(self) -> bytes:
        """The payload: of the numbers within the interval that which has the fewest bytes."""
        for count in range(9):
            unit = 1 << (64 - 8 * count)
            end = -(-self._low // unit) * unit
            if end - self._low < self.size:
                break
        self._move(end - self._low)
        return bytes(self._out + self._low.to_bytes(8, "big")[:count])

    def _move(self, start: int) -> None:
        self._low += start
        if self._low >= _TOP:
            self._low -= _TOP
            place = len(self._out) - 1
            while place >= 0 and self._out[place] == 255:
                self._out[place] = 0
                place -= 1
            if place >= 0:
                self._out[place] += 1

    def _shift(self) -> None:
        self._out.append(self._low >> 56)
        self._low = self._low << 8 & _MASK


class Decoder(Coder):
    """The inverse. Every method raises ValueError if more bytes are missing than an encoder leaves out."""

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._payload = payload
        self._next = 0
        for _ in range(_LOOK_AHEAD):
            self._shift()

    def find(self, total: int) -> int:
        """Returns the number's place in ``total``. The part around it must then be taken."""
        return min(self.number // (self.size // total), total - 1)

    def finish(self) -> None:
        """Raises ValueError if bytes are left over, which an encoder would not have written."""
        if self._next < len(self._payload):
            raise ValueError("the data go on after their end")

    def _move(self, start: int) -> None:
        self.number -= start

    def _shift(self) -> None:
        byte = self._payload[self._next] if self._next < len(self._payload) else 0
        self._next += 1
        if self._next > len(self._payload) + _LOOK_AHEAD:
            raise ValueError("the data end too early")
        self.number = (self.number << 8 | byte) & _MASK
