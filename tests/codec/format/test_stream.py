"""Streams for input and output: chunks of any size, counted, in segments."""

import io
import random

import numpy as np
import pytest

from charloom import Codec
from charloom_codec.engines.engine import BLOCK
from charloom_codec.format import stream
from fake_engines import PlainEngine, ZlibEngine


def _noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)


def _words(size: int) -> bytes:
    return (b"it was the best of times, it was the worst of times\n" * (size // 50))[:size]


class _ShortReads(io.RawIOBase):
    """A pipe that returns a few bytes per read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0
        self.source = random.Random(len(data))

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        assert count > 0, "a read to the end takes unbounded memory"
        data = self.data[self.place : self.place + min(count, self.source.randrange(1, 5000))]
        self.place += len(data)
        return data


def test_streams_with_short_reads() -> None:
    data = _words(100_000) + _noise(200_000)
    codec = Codec(ZlibEngine())
    blob, back = io.BytesIO(), io.BytesIO()
    codec.compress_stream(_ShortReads(data), blob)  # type: ignore[arg-type]
    assert blob.getvalue() == codec.compress(data)
    codec.decompress_stream(_ShortReads(blob.getvalue()), back)  # type: ignore[arg-type]
    assert back.getvalue() == data


def test_bits_are_in_the_order_of_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of lanes, segments and blocks."""
    source = random.Random(3)
    for lanes in (1, 4, 16, 64):
        monkeypatch.setattr(stream, "SEGMENT", 2 * BLOCK + 100)
        monkeypatch.setattr(PlainEngine, "choose_num_lanes", lambda _engine, _length, lanes=lanes: lanes)
        for size in (0, lanes, lanes + 1, 3 * lanes - 1, 5 * BLOCK + 77):
            data = source.randbytes(size)
            for threads in (1, 2):
                counts: list[int] = []
                costs = Codec(PlainEngine(), threads=threads).measure(data, counts.append)
                assert costs.bits.dtype == costs.expected_bits.dtype == np.float32
                assert costs.bits.tolist() == list(data)
                assert costs.expected_bits.tolist() == [byte / 2 for byte in data]
                assert sum(counts) == size


def test_progress_counts_the_original() -> None:
    data = _words(3 * BLOCK) + _noise(5 * BLOCK)
    for threads in (1, 2):
        codec = Codec(ZlibEngine(), threads=threads)
        counts: list[int] = []
        blob = io.BytesIO()
        codec.compress_stream(io.BytesIO(data), blob, counts.append)
        assert sum(counts) == len(data)
        assert len(counts) > 3
        counts.clear()
        codec.decompress_stream(io.BytesIO(blob.getvalue()), io.BytesIO(), counts.append)
        assert sum(counts) == len(data)
