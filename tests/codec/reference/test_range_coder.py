"""The reference's range coder alone: what is coded is decoded, in few bits more than the entropy."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom_codec.reference.range_coder import CostMeter, Decoder, Encoder

_PARTS = st.integers(1, (1 << 22) + 1).flatmap(
    lambda total: st.integers(0, total - 1).flatmap(
        lambda start: st.integers(1, total - start).map(lambda size: (start, size, total))
    )
)
_BITS = st.tuples(st.integers(0, 1), st.sampled_from([1, 2, 32768, 65534, 65535]) | st.integers(1, 65535))


@settings(max_examples=300)
@given(symbols=st.lists(_PARTS | _BITS, max_size=80))
def test_round_trip(symbols: list[tuple[int, ...]]) -> None:
    encoder, meter = Encoder(), CostMeter()
    bits = expected_bits = 0.0
    for symbol in symbols:
        if len(symbol) == 2:
            bit, p = symbol
            expected_bits -= sum(q * math.log2(q) for q in (p / 65536, 1 - p / 65536))
            encoder.code_bit(bit, p)
            assert meter.code_bit(bit, p) == bit
            bits -= math.log2(p / 65536 if bit else 1 - p / 65536)
        else:
            start, size, total = symbol
            encoder.code_interval(start, size, total)
            meter.code_interval(start, size, total)
            bits -= math.log2(size / total)
    assert meter.bits == pytest.approx(bits, abs=1e-9 * (1 + bits))
    assert meter.expected_bits == pytest.approx(expected_bits)
    payload = encoder.finish()
    assert len(payload) <= bits / 8 + 1 + 1e-6 * len(symbols)
    decoder = Decoder(payload)
    for symbol in symbols:
        if len(symbol) == 2:
            assert decoder.code_bit(None, symbol[1]) == symbol[0]
        else:
            start, size, total = symbol
            assert start <= decoder.decode_target(total) < start + size
            decoder.code_interval(start, size, total)
    decoder.finish()


@settings(max_examples=300)
@given(payload=st.binary(max_size=30), seed=st.integers(0, 1 << 32))
def test_any_bytes_decode_or_end_in_an_error(payload: bytes, seed: int) -> None:
    source = random.Random(seed)
    with pytest.raises(ValueError, match=r"too early|data follows the end"):  # noqa: PT012 - either may raise
        decoder = Decoder(payload)
        for _ in range(200):
            total = source.randrange(1, 1 << 22)
            number = decoder.decode_target(total)
            assert 0 <= number < total
            decoder.code_interval(number, 1, total)
            decoder.code_bit(None, source.randrange(1, 65536))
        decoder.finish()


@pytest.mark.parametrize("above", [0, 1])
def test_carries_run_through_many_bytes(above: int) -> None:
    """Parts are chosen so that the interval always contains 1/2; the last part is on one side of it."""
    encoder = Encoder()
    low, size, half = 0, (1 << 64) - 1, 1 << 63  # of the interval, as integers without a limit and without carries
    bits = []
    for step in range(400):
        p = 20_000 + 97 * step
        ones = (size >> 16) * p
        # A 1 has the lower part.
        bit = int(half < low + ones) if step < 390 else 1 - above
        low, size = (low, ones) if bit else (low + ones, size - ones)
        while size < 1 << 48:
            low, size, half = low << 8, size << 8, half << 8
        bits.append((bit, p))
        encoder.code_bit(bit, p)
    payload = encoder.finish()
    assert len(payload) > 30
    assert payload.startswith(b"\x80" + bytes(20) if above else b"\x7f" + b"\xff" * 20)
    decoder = Decoder(payload)
    assert [(decoder.code_bit(None, p), p) for _, p in bits] == bits
    decoder.finish()


def test_no_symbols_take_no_bytes() -> None:
    assert Encoder().finish() == b""
    Decoder(b"").finish()
    with pytest.raises(ValueError, match="data follows the end"):
        Decoder(bytes(9)).finish()
