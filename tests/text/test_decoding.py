"""UTF-8 in chunks: text and errors equal those of the whole, for any chunks."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charloom import CorpusError
from charloom.text.decoding import decode_utf8, detect_file_kind

_DATA = st.text("aé語😀\n\ufeff", max_size=12).map(str.encode)
_BAD = st.sampled_from([b"\xff", b"\x80", b"\xc3(", b"\xed\xa0\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"\0", b"\n\0\xff"])


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    """Returns chunks cut at these places; two equal places leave an empty one between them."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(borders)]


def _result(chunks: list[bytes]) -> str:
    try:
        return "".join(decode_utf8(chunks, "name"))
    except CorpusError as error:
        return str(error)


@given(data=st.lists(_DATA | _BAD, max_size=6).map(b"".join), places=st.lists(st.integers(0, 99), max_size=8))
@example(data=b"\xef\xbb\xbfa", places=[1, 2])
@example(data=b"\0" + "é".encode() + b"\xff", places=[1, 2])
def test_chunks_equal_the_whole(data: bytes, places: list[int]) -> None:
    """Python decodes the whole at once."""
    try:
        text = data.decode()
        place = text.find("\0")
        looks = f"name: looks binary (NUL character at position {place}); unit='byte' accepts any file"
        expected = text.removeprefix("\ufeff") if place < 0 else looks
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        at = f"byte {error.start} (0x{data[error.start]:02x}, line {line})"
        expected = f"name: not UTF-8 at {at}; unit='byte' accepts any file"
    assert _result(_cut(data, places)) == expected


@given(data=st.lists(_DATA | _BAD, max_size=6).map(b"".join), places=st.lists(st.integers(0, 99), max_size=8))
def test_any_bytes_are_kept(data: bytes, places: list[int]) -> None:
    chunks = list(_cut(data, places))
    decoded = decode_utf8(chunks, "name", any_bytes=True)
    if detect_file_kind(next(filter(None, chunks), b"")):
        with pytest.raises(CorpusError):
            list(decoded)
    else:
        assert "".join(decoded).encode("utf-8", "surrogateescape") == data, "also a byte order mark"


def test_no_empty_chunk_is_yielded() -> None:
    assert list(decode_utf8([b"", b"\xc3", b"\xa9", b"", b"\xef\xbb", b"\xbf"], "name")) == ["é", "\ufeff"]
    assert list(decode_utf8([b"\xef", b"\xbb\xbf"], "name")) == []


def test_nothing_is_read_beyond_an_error() -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b"\n" * (1 << 20)] * 5
        yield b"ab\xe9"
        yield b"("
        raise AssertionError("read beyond the error")

    with pytest.raises(CorpusError, match=r"byte 5242882 \(0xe9, line 5242881\)"):
        list(decode_utf8(chunks(), "name"))
