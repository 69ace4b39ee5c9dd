"""Damage to files, accidental or deliberate."""

import random

from charloom_codec.format.container import encode_varint

_HOSTILE = [
    encode_varint((1 << 56) - 1),
    b"\xff" * 12,
    b"\x80\x00",
    encode_varint(1 << 40),
    b"\0",
    b"\x86\x80\x80\x80\x40",
]


def damaged(whole: bytes, source: random.Random) -> bytes:
    """Returns the file with one kind of damage, which ``source`` chooses; sometimes the bytes are unchanged."""
    return source.choice(
        [_flip, _flips, _cut, _swap, _without_stretch, _with_repeated_stretch, _overwritten, _hostile, _appended]
    )(whole, source)


def _place(whole: bytes, source: random.Random) -> int:
    """Returns a position, every other time near the start, which has most of the structure."""
    return source.randrange(len(whole) if source.random() < 0.5 else min(len(whole), 40))


def _flip(whole: bytes, source: random.Random) -> bytes:
    data = bytearray(whole)
    data[_place(whole, source)] ^= 1 << source.randrange(8)
    return bytes(data)


def _flips(whole: bytes, source: random.Random) -> bytes:
    for _ in range(source.randrange(2, 20)):
        whole = _flip(whole, source)
    return whole


def _cut(whole: bytes, source: random.Random) -> bytes:
    return whole[: _place(whole, source)] if source.random() < 0.7 else whole[: -source.randrange(1, 12)]


def _swap(whole: bytes, source: random.Random) -> bytes:
    """Swaps two stretches of equal length."""
    size = source.randrange(1, max(2, len(whole) // 4))
    first = source.randrange(max(1, len(whole) - 2 * size))
    second = source.randrange(first + size, max(first + size + 1, len(whole) - size))
    a, b = whole[first : first + size], whole[second : second + size]
    return whole[:first] + b + whole[first + size : second] + a + whole[second + size :]


def _without_stretch(whole: bytes, source: random.Random) -> bytes:
    place = _place(whole, source)
    return whole[:place] + whole[place + source.randrange(1, 100) :]


def _with_repeated_stretch(whole: bytes, source: random.Random) -> bytes:
    place = _place(whole, source)
    size = source.randrange(1, 100)
    return whole[: place + size] + whole[place:]


def _overwritten(whole: bytes, source: random.Random) -> bytes:
    place, size = _place(whole, source), source.randrange(1, 300)
    noise = bytes(size) if source.random() < 0.3 else source.randbytes(size)
    return (whole[:place] + noise + whole[place + size :])[: len(whole)]


def _hostile(whole: bytes, source: random.Random) -> bytes:
    """Replaces some bytes by a very large number."""
    place, number = _place(whole, source), source.choice(_HOSTILE)
    return whole[:place] + number + whole[place + source.randrange(len(number) + 1) :]


def _appended(whole: bytes, source: random.Random) -> bytes:
    # Not the whole file, which would be two valid files that were joined.
    return whole + source.choice([whole[:-1], b"\0", source.randbytes(source.randrange(1, 100)), whole[:20]])
