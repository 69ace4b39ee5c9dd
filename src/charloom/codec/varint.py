"""Whole numbers in few bytes: seven bits a byte, the lowest first, the high bit set on all but the last.

The form is unique: a reader refuses a last byte of zero (but for zero itself) and more than LONGEST bytes.
"""

LONGEST = 8
"""Bytes of the longest: numbers below 2^56."""


def encode_varint(number: int) -> bytes:
    """The number's bytes, 1 to LONGEST."""
    assert 0 <= number < 1 << 7 * LONGEST
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def decode_varint(data: bytes, start: int = 0) -> tuple[int, int]:
    """The number that begins at ``start``, and where it ends. ValueError where it is cut short or not in its form."""
    number = 0
    for count, byte in enumerate(data[start : start + LONGEST]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if byte == 0 and count:
                raise ValueError("a number is not in its shortest form")
            return number, start + count + 1
    raise ValueError("a number has no end")
