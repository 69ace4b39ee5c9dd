"""Varints, headers and the reader: what is written is read back, and anything else is refused."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import DamagedFileError, LaterVersionError, NotCompressedError, TruncatedFileError
from charloom_codec.engines.engine import Mode
from charloom_codec.format.container import ByteReader, Header, decode_varint, encode_varint, is_compressed


@given(number=st.integers(0, (1 << 56) - 1), before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_numbers(number: int, before: bytes, after: bytes) -> None:
    data = encode_varint(number)
    assert len(data) == max(1, -(-number.bit_length() // 7))
    assert decode_varint(before + data + after, len(before)) == (number, len(before) + len(data))
    reader = ByteReader(io.BytesIO(data + after))
    assert reader.read_varint() == number
    assert reader.position == len(data)


@pytest.mark.parametrize("data", [b"\x80\0", b"\xff" * 8, b"\x81\x80\0"])
def test_malformed_numbers(data: bytes) -> None:
    """A superfluous zero at the end, or no end."""
    with pytest.raises(ValueError, match="a varint"):
        decode_varint(data)
    with pytest.raises(DamagedFileError, match=f"an invalid varint before byte {len(data)} of"):
        ByteReader(io.BytesIO(data)).read_varint()


def test_a_truncated_number() -> None:
    with pytest.raises(ValueError, match="truncated or too long"):
        decode_varint(b"\x80")
    with pytest.raises(TruncatedFileError, match=r"the file ends too early, after 1 byte$"):
        ByteReader(io.BytesIO(b"\x80")).read_varint()


def test_a_reader_reads_no_further_than_asked() -> None:
    stream = io.BytesIO(b"abcdef")
    reader = ByteReader(stream)
    assert reader.starts_with(b"ab")
    assert not reader.starts_with(b"ax")
    assert reader.read_exactly(3) == b"abc"
    assert (reader.position, stream.tell()) == (3, 3)
    assert not reader.is_at_end()
    assert reader.read_exactly(3) == b"def"
    assert reader.is_at_end()
    assert reader.read_exactly(0) == b""


@pytest.mark.parametrize("mode", ["fast", "mixing"])
@pytest.mark.parametrize("records", [False, True])
def test_headers(mode: Mode, records: bool) -> None:
    data = Header(mode, bytes(range(32)), records).to_bytes()
    assert is_compressed(data)
    assert len(data) == 12
    assert Header.read(ByteReader(io.BytesIO(data))) == Header(mode, bytes(range(8)), records)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", NotCompressedError),
        (b"text", NotCompressedError),
        (b"\xc7cl\x21", LaterVersionError),
        (b"\xc7cl\x10", DamagedFileError),
        (b"\xc7cl\x1f", DamagedFileError),
        (b"\xc7cl\x01", DamagedFileError),
        (b"\xc7c", TruncatedFileError),
        (b"\xc7cl\x11abc", TruncatedFileError),
    ],
)
def test_invalid_headers(data: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Header.read(ByteReader(io.BytesIO(data)))
