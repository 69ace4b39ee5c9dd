"""Groups of records and their index: damage is detected, and reported of the damaged records alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import DamagedFileError
from charloom_codec.records.groups import (
    INDEX_SIZE_BYTES,
    Index,
    decode_group,
    encode_group,
)
from damage import damaged


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 300))
def test_damage_of_a_group_is_found(seed: int, count: int) -> None:
    """For any damage, each record is right or named."""
    source = random.Random(seed)
    blobs = [source.randbytes(source.choice([0, 1, 20, 300])) for _ in range(count)]
    data = encode_group(blobs)
    assert decode_group(data) == (blobs, ())
    try:
        found, lost = decode_group(damaged(data, source))
    except ValueError:
        return
    for number, blob in enumerate(found):
        assert number in lost or blob == blobs[number]


@given(lengths=st.lists(st.sampled_from([0, 1, 20, 21, 5000]), min_size=1, max_size=60))
def test_the_overhead_of_a_group(lengths: list[int]) -> None:
    """A few bits for each length, and a checksum for each row and column of a square."""
    blobs = [bytes(length) for length in lengths]
    data = encode_group(blobs)
    assert decode_group(data) == (blobs, ())
    assert len(data) <= sum(lengths) + 4 * len(lengths) + 40


def test_only_the_damaged_record_is_named() -> None:
    blobs = [bytes([number]) * 10 for number in range(100)]
    data = bytearray(encode_group(blobs))
    data[data.index(blobs[37]) + 3] ^= 1
    found, lost = decode_group(bytes(data))
    assert lost == (37,)
    assert [number for number in range(100) if found[number] != blobs[number]] == [37]


@pytest.mark.parametrize("open_end", [False, True])
def test_an_index(open_end: bool) -> None:
    index = Index([(300, 1000), (5, 1)], 0xDEADBEEF, open_end)
    data = index.to_bytes()
    assert int.from_bytes(data[-INDEX_SIZE_BYTES:], "little") == len(data) - INDEX_SIZE_BYTES
    assert Index.from_bytes(data[:-INDEX_SIZE_BYTES]) == index
    assert index.compute_starts() == ([0, 302, 308], [0, 1000, 1001])
    for place in range(len(data) - INDEX_SIZE_BYTES):
        flipped = bytearray(data[:-INDEX_SIZE_BYTES])
        flipped[place] ^= 1
        with pytest.raises(DamagedFileError, match="the index of the records"):
            Index.from_bytes(bytes(flipped))
