"""Each kind of damage to a file has its own error, and never decompresses to wrong bytes."""

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import (
    Codec,
    CompressedFileError,
    DamagedFileError,
    LaterVersionError,
    NotCompressedError,
    TrailingDataError,
    TruncatedFileError,
    WrongModelError,
)
from charloom_codec.engines.engine import BLOCK, MAX_SEGMENT, Engine, RecordSession
from charloom_codec.format.container import END, HEADER_BYTES, MAGIC, Header, encode_varint
from charloom_codec.format.segments import STORED, encode_segment_head
from damage import damaged
from fake_engines import PlainEngine, ZlibEngine
from small_segments import compressed

_HEADER = Header("mixing", PlainEngine().fingerprint).to_bytes()
_TEXT = b"it was the best of times, it was the worst of times, " * 8


def _error_of(blob: bytes, kind: type[CompressedFileError], message: str) -> CompressedFileError:
    """Decompresses with one thread and with two; returns the error."""
    for threads in (2, 1):
        with pytest.raises(CompressedFileError, match=message) as caught:
            Codec(PlainEngine(), threads=threads).decompress(blob)
        assert type(caught.value) is kind
        assert "\n" not in str(caught.value)
    return caught.value


def test_files_of_other_formats() -> None:
    _error_of(b"", NotCompressedError, "empty")
    _error_of(b"\x1f\x8b\x08 gzip", NotCompressedError, "not a file compressed by charloom")
    _error_of(b"\xc7", TruncatedFileError, "too early")
    _error_of(MAGIC, TruncatedFileError, "too early")
    _error_of(b"\xc8", NotCompressedError, "not a file")


def test_other_versions_and_kinds() -> None:
    blob = bytearray(Codec(PlainEngine()).compress(_TEXT))
    for byte, kind, message in ((0x22, LaterVersionError, "version 2"), (0xFF, LaterVersionError, "version 15")):
        blob[3] = byte
        _error_of(bytes(blob), kind, message)
    for byte in (0x02, 0x10, 0x13, 0x1F):
        blob[3] = byte
        _error_of(bytes(blob), DamagedFileError, f"{byte:#04x}")


def test_the_wrong_model() -> None:
    """The error names both."""
    blob = Codec(PlainEngine(start=b"other")).compress(_TEXT)
    error = str(_error_of(blob, WrongModelError, "a different model"))
    assert PlainEngine().fingerprint[:8].hex() in error
    assert PlainEngine(start=b"other").fingerprint[:8].hex() in error


def test_hostile_numbers() -> None:
    """Memory is allocated only for bytes that exist: the limits are in test_damage_limits.py."""
    _error_of(_HEADER + encode_segment_head(MAX_SEGMENT + 1, 0), DamagedFileError, "invalid segment header")
    _error_of(_HEADER + encode_segment_head(1 << 52, STORED), DamagedFileError, "invalid segment header")
    _error_of(_HEADER + encode_segment_head(0, 1), DamagedFileError, "invalid segment header")
    _error_of(
        _HEADER + encode_segment_head(63, 5) + bytes(100), DamagedFileError, "invalid segment header"
    )  # more lanes than bytes
    _error_of(_HEADER + b"\xff" * 50, DamagedFileError, "invalid varint")
    _error_of(_HEADER + b"\x80\x00", DamagedFileError, "invalid varint")
    _error_of(_HEADER + b"\xff", TruncatedFileError, "too early")
    _error_of(_HEADER + encode_segment_head(MAX_SEGMENT, STORED) + b"abc", TruncatedFileError, "too early")
    _error_of(
        _HEADER + encode_segment_head(100, 6) + bytes(200), DamagedFileError, "invalid segment header"
    )  # an undefined code
    _error_of(_HEADER + encode_segment_head(100, 0) + encode_varint(101) + bytes(200), DamagedFileError, "too large")
    _error_of(_HEADER + encode_segment_head(MAX_SEGMENT, 0) + b"\0" * 5, DamagedFileError, "bytes 0 to 16,777,215")


def test_the_end() -> None:
    blob = Codec(PlainEngine()).compress(_TEXT)
    assert blob.endswith(END)
    _error_of(blob[:-1], TruncatedFileError, f"after {len(blob) - 1} bytes")
    _error_of(blob + b"x", TrailingDataError, f"at byte {len(blob)}")
    _error_of(blob + blob[:-1], TruncatedFileError, "too early")


@pytest.mark.parametrize("lanes_and_size", [(1, 5 * BLOCK), (16, 1 << 20)])
def test_a_damaged_block_is_named(lanes_and_size: tuple[int, int]) -> None:
    """The blocks before it are returned; with lanes, all of which lack their end, nothing of the segment is."""
    lanes, size = lanes_and_size
    data = (_TEXT * (1 << 12))[:size]
    whole = Codec(ZlibEngine()).compress(data)
    session = ZlibEngine().start_session(lanes)
    first = whole.index(session.encode(data[:BLOCK])) if lanes == 1 else len(whole) // 16
    assert lanes == 16 or whole.index(session.encode(data[BLOCK : 2 * BLOCK])) > first
    blob = bytearray(whole)
    blob[len(blob) * 3 // 4] ^= 1
    target = io.BytesIO()
    with pytest.raises(DamagedFileError) as caught:
        Codec(ZlibEngine()).decompress_stream(io.BytesIO(bytes(blob)), target)
    start, end = caught.value.start, caught.value.end
    assert start is not None
    assert end == size
    assert start == (3 * BLOCK if lanes == 1 else 0)
    assert str(caught.value) == f"damaged: bytes {start:,} to {end - 1:,} of the original are lost"
    assert target.getvalue() == data[:start]


def test_a_single_lost_byte() -> None:
    blob = bytearray(Codec(PlainEngine()).compress(b"x"))
    blob[blob.index(b"x")] ^= 1
    _error_of(bytes(blob), DamagedFileError, r"^damaged: byte 0 of the original is lost$")


class _Halves(Engine):
    """An engine without memory, for data whose every byte is doubled: its blocks decode anywhere."""

    def __init__(self) -> None:
        self.mode = "fast"
        self.fingerprint = bytes(32)

    def choose_num_lanes(self, length: int) -> int:
        assert length
        return 1

    def start_session(self, num_lanes: int) -> "_Halves":
        assert num_lanes == 1
        return self

    def encode(self, data: bytes) -> bytes:
        return data[::2]

    def measure(self, data: bytes) -> bytes:
        raise NotImplementedError

    def decode(self, payload: bytes, length: int) -> bytes:
        data = b"".join(bytes([byte, byte]) for byte in payload)
        if len(data) != length:
            raise ValueError
        return data

    def start_record_session(self) -> RecordSession:
        raise NotImplementedError


def test_swapped_blocks_and_segments() -> None:
    """Each is valid by itself; only its checksum covers its position."""
    data = b"".join(bytes([byte, byte]) for byte in random.Random(1).randbytes(3 * BLOCK))
    segment = 2 * BLOCK
    whole = compressed(data, _Halves(), segment)
    assert Codec(_Halves()).decompress(whole) == data
    block = len(encode_varint(BLOCK // 2)) + BLOCK // 2 + 4
    head = len(encode_segment_head(segment, 0))
    first = HEADER_BYTES + head
    second = first + 2 * block + head
    parts = [whole[start : start + block] for start in (first, first + block, second, second + block)]
    swapped = whole[:first] + parts[1] + parts[0] + whole[first + 2 * block :]
    with pytest.raises(DamagedFileError, match=r"bytes 0 to 131,071 of"):
        Codec(_Halves()).decompress(swapped)
    swapped = whole[:first] + parts[2] + parts[3] + whole[second - head : second] + parts[0] + parts[1]
    swapped += whole[second + 2 * block :]
    assert len(swapped) == len(whole)
    with pytest.raises(DamagedFileError, match=r"bytes 0 to 131,071 of"):
        Codec(_Halves()).decompress(swapped)
    dropped = whole[: second - head] + whole[second + 2 * block :]
    with pytest.raises(DamagedFileError, match=r"bytes 131,072 to 262,143 of"):
        Codec(_Halves()).decompress(dropped)


def test_segments_of_two_files() -> None:
    """Each is at a valid position; only the checksum of the whole shows that they are of two files."""
    first, second = (random.Random(seed).randbytes(3 * BLOCK) for seed in (1, 2))
    blobs = [compressed(data, ZlibEngine(), 2 * BLOCK) for data in (first, second)]
    assert len(blobs[0]) == len(blobs[1])
    middle = blobs[0].index(first[2 * BLOCK :])
    with pytest.raises(DamagedFileError, match="checksum of the whole"):
        Codec(ZlibEngine()).decompress(blobs[0][:middle] + blobs[1][middle:])


_SAMPLES = {
    "text": Codec(PlainEngine()).compress(_TEXT),
    "several blocks": Codec(ZlibEngine()).compress(_TEXT * 500),
    "noise": Codec(ZlibEngine()).compress(random.Random(1).randbytes(500)),
    "coded and stored": compressed(random.Random(2).randbytes(9000) + bytes(9000), ZlibEngine(), 1024),
    "several segments": compressed(_TEXT * 30, ZlibEngine(), 2048),
    "empty": Codec(ZlibEngine()).compress(b""),
}


def test_a_changed_head_is_found() -> None:
    """An engine may decode with another number of lanes, to bytes in another order."""
    whole = _SAMPLES["several blocks"]
    head = encode_segment_head(len(_TEXT) * 500, 0)
    assert whole[HEADER_BYTES:].startswith(head)
    for code in range(1, 6):
        changed = whole[:HEADER_BYTES] + encode_segment_head(len(_TEXT) * 500, code) + whole[HEADER_BYTES + len(head) :]
        with pytest.raises(DamagedFileError):
            Codec(ZlibEngine()).decompress(changed)


@pytest.mark.parametrize("name", _SAMPLES)
@settings(max_examples=80)
@given(seed=st.integers(0, 2**32))
def test_damage_is_always_detected(name: str, seed: int) -> None:
    """Decompression raises an error or returns the same bytes."""
    whole = _SAMPLES[name]
    codec = Codec(PlainEngine() if name == "text" else ZlibEngine())
    original = codec.decompress(whole)
    blob = damaged(whole, random.Random(seed))
    found, error = _outcome(codec, blob)
    assert found == original or (blob != whole and error and "\n" not in error)


def _outcome(codec: Codec, blob: bytes) -> tuple[bytes | None, str]:
    try:
        return codec.decompress(blob), ""
    except CompressedFileError as error:
        return None, str(error)


@pytest.mark.parametrize("name", ["text", "noise", "empty"])
def test_every_truncation_and_every_flipped_bit(name: str) -> None:
    whole = _SAMPLES[name]
    codec = Codec(PlainEngine() if name == "text" else ZlibEngine())
    original = codec.decompress(whole)
    for length in range(len(whole)):
        with pytest.raises((TruncatedFileError, NotCompressedError)):
            codec.decompress(whole[:length])
    for place in range(8 * min(len(whole), 100)):
        blob = bytearray(whole)
        blob[place // 8] ^= 1 << place % 8
        assert _outcome(codec, bytes(blob))[0] in (None, original)


def test_a_file_that_lost_its_segments_does_not_decompress_to_nothing() -> None:
    """An empty stream ends with a checksum of its header: no segment of it has one."""
    blob = Codec(PlainEngine()).compress(_TEXT)
    _error_of(blob[:HEADER_BYTES] + END, TruncatedFileError, "too early")
    empty = bytearray(Codec(PlainEngine()).compress(b""))
    assert Codec(PlainEngine()).decompress(bytes(empty)) == b""
    empty[HEADER_BYTES - 1] ^= 1
    _error_of(bytes(empty), DamagedFileError, "the checksum of the whole file does not match")
