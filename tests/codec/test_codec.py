"""Round trips of any data, in few bytes, for any number of threads and any chunks of the streams."""

import io
import os
import random
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import Codec, InputError, SettingsError, WrongModelError
from charloom_codec.engines.engine import BLOCK, Engine
from fake_engines import ENGINES, PlainEngine, ZlibEngine
from small_segments import compressed

_ENGINES = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
_SEGMENT = 2 * BLOCK


def _max_growth(size: int, segment: int) -> int:
    """Returns the size of header, end and checksum of the whole, and of head and checksum of each stored segment."""
    return 17 + 8 * -(-size // segment)


def _noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def _words(size: int, seed: int = 1) -> bytes:
    source = random.Random(seed)
    words = [source.randbytes(source.randrange(2, 8)).hex().encode() for _ in range(300)]
    return b" ".join(source.choices(words, k=size // 4))[:size]


@_ENGINES
@settings(max_examples=150)
@given(data=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_round_trip(engine: Engine, data: bytes) -> None:
    codec = Codec(engine)
    blob = codec.compress(data)
    assert codec.decompress(blob) == data
    assert codec.compress(data) == blob
    assert len(blob) <= len(data) + 19


@pytest.mark.slow
@settings(max_examples=10_000)
@given(data=st.binary(max_size=2000))
def test_ten_thousand_strings(data: bytes) -> None:
    codec = Codec(ZlibEngine())
    blob = codec.compress(data)
    assert codec.decompress(blob) == data
    assert len(blob) <= len(data) + 19


@pytest.mark.parametrize("size", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_sizes_around_a_block(size: int) -> None:
    for data in (_words(size), _noise(size), bytes(size)):
        for engine in ENGINES if size < 10 or size == BLOCK + 1 else ENGINES[1:]:  # the reference takes seconds
            assert Codec(engine).decompress(Codec(engine).compress(data)) == data


def test_the_overhead_of_a_small_text() -> None:
    """The whole file: header, one segment, one block, end."""
    data = _words(20_000)
    engine = PlainEngine()
    payload = engine.start_session(1).encode(data)
    assert len(Codec(engine).compress(data)) - len(payload) <= 24


def _compressed(data: bytes, threads: int, segment: int = _SEGMENT) -> bytes:
    return compressed(data, ZlibEngine(), segment, threads)


def _decompressed(blob: bytes, threads: int = 1) -> bytes:
    return Codec(ZlibEngine(), threads=threads).decompress(blob)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_same_bytes_for_any_number_of_threads(threads: int) -> None:
    """Texts and noise alternate, so that coded and stored segments come in every order."""
    source = random.Random(threads)
    data = b"".join(
        (_words if source.random() < 0.5 else _noise)(source.randrange(3 * _SEGMENT), seed) for seed in range(12)
    )
    blob = _compressed(data, 1)
    assert _compressed(data, threads) == blob
    assert _decompressed(blob) == _decompressed(blob, threads) == data


@settings(max_examples=60)
@given(parts=st.lists(st.tuples(st.booleans(), st.integers(0, 5 * _SEGMENT)), max_size=8), threads=st.integers(1, 2))
def test_growth_is_bounded(parts: list[tuple[bool, int]], threads: int) -> None:
    data = b"".join((_words if text else _noise)(size) for text, size in parts)
    blob = _compressed(data, threads)
    assert len(blob) <= len(data) + _max_growth(len(data), _SEGMENT)
    assert _decompressed(blob) == data


def test_noise_grows_only_by_the_heads_of_its_segments() -> None:
    """Data after noise still shrinks."""
    data = _noise(4096 * 500)
    blob = _compressed(data, 2, segment=4096)
    assert len(blob) <= len(data) + _max_growth(len(data), 4096)
    assert _decompressed(blob, 2) == data
    data = _noise(4096) + _words(4096 * 60)
    assert len(_compressed(data, 1, segment=4096)) < len(data) * 0.8


@pytest.mark.slow
def test_a_hundred_megabytes_of_noise() -> None:
    data = os.urandom(100_000_000)
    blob = Codec(ZlibEngine()).compress(data)
    assert len(blob) <= len(data) + 25 + len(data) * 2e-6
    assert Codec(ZlibEngine()).decompress(blob) == data


def test_the_number_of_lanes_depends_on_the_length_and_is_stored() -> None:
    data = _words(1 << 20)
    assert ZlibEngine().choose_num_lanes(len(data)) == 16
    codec = Codec(ZlibEngine(), threads=1)
    assert codec.decompress(codec.compress(data)) == data


def test_either_mode_is_decompressed() -> None:
    """The file states the mode; the codec's own mode applies to compression only."""
    fast, mixing = PlainEngine("fast"), PlainEngine("mixing")
    assert Codec(fast).mode == "fast"
    blob = Codec(fast).compress(b"aaaa" * 50)
    with pytest.raises(WrongModelError, match="'fast'"):
        Codec(mixing).decompress(blob)


def test_stored_data_needs_no_model() -> None:
    blob = Codec(PlainEngine()).compress(b"x")
    assert Codec(None).decompress(blob) == b"x"
    blob = Codec(PlainEngine()).compress(b"x" * 100)
    with pytest.raises(WrongModelError, match=PlainEngine().fingerprint[:8].hex()):
        Codec(None).decompress(blob)
    with pytest.raises(WrongModelError, match="pass a model folder"):
        Codec(None).compress(b"x")


def test_input_that_is_not_bytes_is_refused() -> None:
    codec = Codec(PlainEngine())
    with pytest.raises(InputError, match="the model must be a model folder or a LanguageModel, not int"):
        Codec(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be bytes"):
        codec.compress("text")  # type: ignore[arg-type]
    assert codec.decompress(bytearray(codec.compress(memoryview(b"abc")))) == b"abc"  # type: ignore[arg-type]
    for threads in (0, -1, True, 1.5):
        with pytest.raises(SettingsError, match="threads"):
            Codec(PlainEngine(), threads=threads)  # type: ignore[arg-type]


@pytest.mark.parametrize("work", [Codec.compress_stream, Codec.compress_lines, Codec.decompress_stream])
@pytest.mark.parametrize("late", [b"a line\n", b"half a line"])
def test_a_non_blocking_stream_is_refused(work: Callable[..., None], late: bytes) -> None:
    """Data that arrive later would be missing."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, late if work is not Codec.decompress_stream else Codec(PlainEngine()).compress(late)[:-1])
    with os.fdopen(reading, "rb") as source, pytest.raises(InputError, match="the stream is non-blocking"):
        work(Codec(PlainEngine()), source, io.BytesIO())
    os.close(writing)


def test_a_failing_target_ends_the_work() -> None:
    """No thread is left."""

    class Full(io.BytesIO):
        def write(self, _: object, /) -> int:
            raise OSError(28, "No space left on device")

    codec = Codec(ZlibEngine(), threads=2)
    with pytest.raises(OSError, match="No space"):
        codec.compress_stream(io.BytesIO(_noise(50 * BLOCK)), Full())


def test_no_torch() -> None:
    names = "charloom.Codec, charloom.RecordCodec, charloom.RecordFile"
    code = f"import sys, charloom; {names}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
