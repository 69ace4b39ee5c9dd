"""Range coder, the reference implementation of ``codec/kernels/coding/range_coder.h``.

It codes intervals of a range 0 to total, or bits with their probabilities. A payload is a number between 0 and 1 to
base 256, and each coded symbol narrows the interval that contains the number. The state is the start of the interval
and its 64-bit size. Renormalization keeps the size at 2^48 or more, so that the rounding of probabilities costs nothing
measurable. Bytes that are missing at the end are zeros.

The method is that of G. N. N. Martin, Range encoding: an algorithm for removing redundancy from a digitised message
(1979), here in base 256 with a 64-bit interval; the encoder propagates carries.
"""

import array
import math
from collections.abc import Iterable

_TOP = 1 << 64
_MIN_VALUE = 1 << 48
_MASK = _TOP - 1
_LOOK_AHEAD = 8
"""Bytes that a decoder reads ahead; up to that number may be missing at the end of a payload."""


class Coder:
    """Base class of encoder and decoder, which narrow the same interval.

    Attributes:
        size: Size of the interval.
        code: Position of the number, counted from the start of the interval; used by decoders only.
    """

    def __init__(self) -> None:
        self.size = _MASK  # 2^64 - 1 fits 64 bits, unlike 2^64
        self.code = 0

    def code_interval(self, start: int, size: int, total: int) -> None:
        """Narrows the interval to the ``size`` parts from ``start`` of ``total`` equal parts."""
        # At least 2^16 for totals up to 2^32, since the size is at least 2^48: no interval becomes empty.
        unit = self.size // total
        # The last part includes the remainder of the division.
        self._narrow(start * unit, size * unit if start + size < total else self.size - start * unit)

    def code_bit(self, bit: int | None, p: int) -> int:
        """Codes a bit, or decodes it if it is None, and returns it.

        Args:
            bit: Bit to encode; None in a decoder.
            p: Probability that the bit is 1, times 2^16, from 1 to 65,535 so that neither interval is empty.
        """
        ones = (self.size >> 16) * p
        if bit is None:
            bit = int(self.code < ones)
        self._narrow(*((0, ones) if bit else (ones, self.size - ones)))
        return bit

    def _narrow(self, start: int, size: int) -> None:
        self._move(start)
        self.size = size
        # Renormalization.
        while self.size < _MIN_VALUE:
            self._shift()
            self.size <<= 8

    def _move(self, start: int) -> None:
        """Moves the interval's start."""
        raise NotImplementedError

    def _shift(self) -> None:
        """Advances by one byte of the payload: the unit of ``size`` becomes 256 times smaller."""
        raise NotImplementedError


class Encoder(Coder):
    """Encoder of intervals and bits."""

    def __init__(self) -> None:
        super().__init__()
        self._out = bytearray()
        self._low = 0

    def finish(self) -> bytes:
        """Returns the payload: the number within the interval that takes the fewest bytes."""
        for count in range(9):
            unit = 1 << (64 - 8 * count)
            end = -(-self._low // unit) * unit  # the first multiple of the unit within the interval, if there is one
            if end - self._low < self.size:
                break
        self._move(end - self._low)
        return bytes(self._out + self._low.to_bytes(8, "big")[:count])

    def _move(self, start: int) -> None:
        self._low += start
        if self._low >= _TOP:
            self._low -= _TOP
            # Propagates the carry: bytes of 255 become 0 and pass it on.
            place = len(self._out) - 1
            while place >= 0 and self._out[place] == 255:
                self._out[place] = 0
                place -= 1
            if place >= 0:
                self._out[place] += 1

    def _shift(self) -> None:
        self._out.append(self._low >> 56)
        self._low = self._low << 8 & _MASK


class CostMeter(Coder):
    """Coder that adds up the bits that an encoder would take, and those that were expected.

    Attributes:
        bits: Bits so far.
        expected_bits: Sum of the entropies of the choices so far. ``code_interval`` does not know its choice: the
            caller adds the entropy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bits = self.expected_bits = 0.0

    def code_interval(self, start: int, size: int, total: int) -> None:  # noqa: ARG002 # the interface has it
        """Adds the bits of ``size`` of ``total`` equal parts."""
        self.bits += math.log2(total / size)

    def code_bit(self, bit: int | None, p: int) -> int:
        """Adds the bits of a bit that is 1 with probability ``p`` / 2^16, and returns it."""
        assert bit is not None
        q = (1 << 16) - p
        bits_of_0, bits_of_1 = 16 - math.log2(q), 16 - math.log2(p)
        self.bits += bits_of_1 if bit else bits_of_0
        self.expected_bits += (q * bits_of_0 + p * bits_of_1) / (1 << 16)
        return bit


def pack_costs(meters: Iterable[CostMeter]) -> bytes:
    """Returns what ``measure`` of a session returns: the bits of each meter and those expected, as float32."""
    return array.array("f", [bits for meter in meters for bits in (meter.bits, meter.expected_bits)]).tobytes()


class Decoder(Coder):
    """Decoder of intervals and bits. All methods raise ValueError if more bytes are missing than an encoder omits."""

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._payload = payload
        self._next = 0
        for _ in range(_LOOK_AHEAD):
            self._shift()

    def decode_target(self, total: int) -> int:
        """Returns the position of the number in 0 to ``total``. The caller then codes the interval that contains it."""
        # The remainder of the division belongs to the last part.
        return min(self.code // (self.size // total), total - 1)

    def finish(self) -> None:
        """Raises ValueError if bytes are left over, which an encoder does not write."""
        if self._next < len(self._payload):
            raise ValueError("data follows the end of the payload")

    def _move(self, start: int) -> None:
        self.code -= start

    def _shift(self) -> None:
        # Encoders omit zeros at the end, but no more bytes than the look-ahead.
        byte = self._payload[self._next] if self._next < len(self._payload) else 0
        self._next += 1
        if self._next > len(self._payload) + _LOOK_AHEAD:
            raise ValueError("the data ends too early")
        self.code = (self.code << 8 | byte) & _MASK
