"""Segments: lanes side by side, blocks with running checksums, stored if that is shorter."""

import io
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import DamagedFileError, TruncatedFileError
from charloom_codec.engines.engine import BLOCK, LANES
from charloom_codec.format.container import ByteReader
from charloom_codec.format.ordered_work import OrderedWork
from charloom_codec.format.segments import (
    STORED,
    decode_segment,
    deinterleave,
    encode_segment,
    interleave,
    read_segment,
)
from fake_engines import ZlibEngine

_ENGINE = ZlibEngine()
_WORK = OrderedWork(1)


@given(data=st.binary(max_size=200), lanes=st.sampled_from(LANES))
def test_lanes_are_adjacent_chunks(data: bytes, lanes: int) -> None:
    coded = interleave(data, lanes)
    assert deinterleave(coded, lanes) == data
    chunks = [coded[lane::lanes] for lane in range(lanes)]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) - min(map(len, chunks)) <= 1


def _read_back(blob: bytes, position: int) -> tuple[bytes, Exception | None]:
    source = ByteReader(io.BytesIO(blob))
    segment = read_segment(source, source.read_varint(), position)
    return decode_segment(None if segment.code == STORED else _ENGINE, segment, _WORK)


@pytest.mark.parametrize("size", [1, 100, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_compressible_data_is_coded_and_noise_is_stored(size: int) -> None:
    for data, grows_by in ((b"ab" * size, 0), (random.Random(size).randbytes(size), 9)):
        blob = encode_segment(_ENGINE, data, 5, _WORK)
        assert len(blob) <= len(data) + max(grows_by, 9)
        assert _read_back(blob, 5) == (data, None)


def test_a_stored_segment_is_its_bytes_between_a_number_and_a_checksum() -> None:
    data = random.Random(1).randbytes(100)
    checksum = zlib.crc32(data, zlib.crc32((7).to_bytes(8, "little") + b"\xa7\x06"))
    assert encode_segment(_ENGINE, data, 7, _WORK) == b"\xa7\x06" + data + checksum.to_bytes(4, "little")


def test_a_segment_that_was_moved_is_damaged() -> None:
    """Its checksum starts with its position in the original."""
    blob = encode_segment(_ENGINE, b"ab" * 300, 5, _WORK)
    data, error = _read_back(blob, 6)
    assert data == b""
    assert isinstance(error, DamagedFileError)
    assert (error.start, error.end) == (6, 606)


def test_the_blocks_before_a_damaged_or_missing_one_are_returned() -> None:
    data = b"it was the best of times\n" * (3 * BLOCK // 25)
    blob = encode_segment(_ENGINE, data, 0, _WORK)
    good, error = _read_back(blob[:-1], 0)
    assert (good, type(error)) == (data[: 2 * BLOCK], TruncatedFileError)
    good, error = _read_back(blob[:-1] + bytes([blob[-1] ^ 1]), 0)
    assert good == data[: 2 * BLOCK]
    assert isinstance(error, DamagedFileError)
    assert (error.start, error.end) == (2 * BLOCK, len(data))
