"""The members of a compressed file, listed without its model, and errors of its structure."""

import io
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom_codec import Codec
from charloom_codec.errors import CompressedFileError
from charloom_codec.listing import list_members
from fake_engines import PlainEngine, ZlibEngine


def _lines(text: bytes) -> bytes:
    Codec(ZlibEngine()).compress_lines(io.BytesIO(text), target := io.BytesIO())
    return target.getvalue()


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300), st.integers(1, 40)), min_size=1, max_size=4))
def test_the_members_of_joined_files(parts: list[tuple[bool, bytes, int]]) -> None:
    blobs = [
        _lines(data * count) if by_line else Codec(ZlibEngine()).compress(data * count)
        for by_line, data, count in parts
    ]
    members = list(list_members(io.BytesIO(b"".join(blobs))))
    assert [member.compressed_bytes for member in members] == list(map(len, blobs))
    for member, (by_line, data, count) in zip(members, parts, strict=True):
        text = data * count
        assert member.mode == ZlibEngine().mode
        assert member.fingerprint == ZlibEngine().fingerprint[:8]
        if by_line:
            lines = text.removesuffix(b"\n").split(b"\n") if text else []
            assert (member.original_bytes, member.num_records) == (None, len(lines))
            assert member.checksum == crc32(b"".join(line + b"\n" for line in lines))
        else:
            assert (member.original_bytes, member.num_records) == (len(text), None)
    assert Codec(ZlibEngine()).decompress(b"".join(blobs)) == b"".join(data * count for _, data, count in parts)


@given(st.booleans(), st.integers(1, 100))
def test_every_truncation_is_an_error(by_line: bool, missing: int) -> None:
    text = b"one line\n" * 30
    blob = _lines(text) if by_line else Codec(PlainEngine()).compress(text)
    with pytest.raises(CompressedFileError):
        list(list_members(io.BytesIO(blob[: max(0, len(blob) - missing)])))


@given(st.binary(max_size=200))
def test_other_data_is_an_error(data: bytes) -> None:
    with pytest.raises(CompressedFileError):
        list(list_members(io.BytesIO(data)))
    header = Codec(PlainEngine()).compress(b"")[:12]
    with pytest.raises(CompressedFileError):
        list(list_members(io.BytesIO(header + b"\xff" + data)))
