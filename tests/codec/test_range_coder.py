"""The plain range coder, alone: what is coded comes back, in hardly more bits than it takes."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom.codec.range_coder import Decoder, Encoder

_PARTS = st.integers(1, (1 << 22) + 1).flatmap(
    lambda total: st.integers(0, total - 1).flatmap(
        lambda start: st.integers(1, total - start).map(lambda size: (start, size, total))
    )
)
_BITS = st.tuples(st.integers(0, 1), st.sampled_from([1, 2, 32768, 65534, 65535]) | st.integers(1, 65535))


@settings(deadline=None, max_examples=300)
@given(symbols=st.lists(_PARTS | _BITS, max_size=80))
def test_round_trip(symbols: list[tuple[int, ...]]) -> None:
    encoder = Encoder()
    bits = 0.0
    for symbol in symbols:
        if len(symbol) == 2:
            bit, p = symbol
            encoder.encode_bit(bit, p)
            bits -= math.log2(p / 65536 if bit else 1 - p / 65536)
        else:
            start, size, total = symbol
            encoder.encode(start, size, total)
            bits -= math.log2(size / total)
    payload = encoder.finish()
    assert len(payload) <= bits / 8 + 1 + 1e-6 * len(symbols)
    decoder = Decoder(payload)
    for symbol in symbols:
        if len(symbol) == 2:
            assert decoder.decode_bit(symbol[1]) == symbol[0]
        else:
            start, size, total = symbol
            assert start <= decoder.find(total) < start + size
            decoder.skip(start, size, total)
    decoder.finish()


@settings(deadline=None, max_examples=300)
@given(payload=st.binary(max_size=30), seed=st.integers(0, 1 << 32))
def test_any_bytes_decode_or_end_in_an_error(payload: bytes, seed: int) -> None:
    source = random.Random(seed)
    with pytest.raises(ValueError, match="too early|after their end"):  # noqa: PT012 - either may raise
        decoder = Decoder(payload)
        for _ in range(200):
            total = source.randrange(1, 1 << 22)
            number = decoder.find(total)
            assert 0 <= number < total
            decoder.skip(number, 1, total)
            decoder.decode_bit(source.randrange(1, 65536))
        decoder.finish()


def test_carries_run_through_many_bytes() -> None:
    """The number comes to lie just below, then just above, a border that all bytes so far stand on."""
    for last in (0, 1):
        encoder = Encoder()
        encoder.encode_bit(0, 32768)
        encoder.encode_bit(1, 32768)
        for _ in range(200):
            encoder.encode(255, 1, 256)
        for _ in range(30):
            encoder.encode(last * 255, 1, 256)
        payload = encoder.finish()
        decoder = Decoder(payload)
        assert (decoder.decode_bit(32768), decoder.decode_bit(32768)) == (0, 1)
        for expected in [255] * 200 + [last * 255] * 30:
            assert decoder.find(256) == expected
            decoder.skip(expected, 1, 256)
        decoder.finish()


def test_nothing_takes_no_bytes() -> None:
    assert Encoder().finish() == b""
    Decoder(b"").finish()
    with pytest.raises(ValueError, match="after their end"):
        Decoder(bytes(9)).finish()
