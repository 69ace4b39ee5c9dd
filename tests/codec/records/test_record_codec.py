"""Records, one by one and in batches: each decodes alone, and none grows by more than its escape."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import DamagedRecordError, InputError, RecordCodec, SettingsError, WrongModelError
from charloom_codec.engines.engine import MAX_CODED_RECORD, VERSIONS, Engine
from charloom_codec.format.opening import make_engine
from charloom_codec.model.codec_files import save_codec_files
from fake_engines import ENGINES, PlainEngine, ZlibEngine
from small_engines import MODELS, PRIMINGS

_ENGINES = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)


@_ENGINES
@pytest.mark.parametrize("check", [False, True])
@settings(max_examples=100)
@given(record=st.binary(max_size=100) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_round_trip(engine: Engine, check: bool, record: bytes) -> None:
    codec = RecordCodec(engine, check=check)
    blob = codec.encode(record)
    assert codec.decode(blob) == record
    assert len(blob) <= len(record) + 1 + check
    assert RecordCodec(engine, check=check).encode(record) == blob


class _Echo(Engine):
    """An engine whose payloads are the reversed records, so that any first byte occurs."""

    def __init__(self) -> None:
        self.mode = "fast"
        self.fingerprint = bytes(32)

    def start_record_session(self) -> "_Echo":
        return self

    def encode(self, record: bytes) -> bytes:
        return record[::-1]

    def measure(self, record: bytes) -> bytes:
        raise NotImplementedError

    def decode(self, payload: bytes, limit: int) -> bytes:
        if len(payload) > limit:
            raise ValueError
        return payload[::-1]


def test_every_first_byte_round_trips() -> None:
    """Payloads that look like an escape get one; only those grow."""
    codec = RecordCodec(_Echo())
    for last in range(256):
        record = b"ab" + bytes([last])
        blob = codec.encode(record)
        assert codec.decode(blob) == record
        assert len(blob) == 3 + (last >= 0xFE)
    assert codec.decode(codec.encode(b"")) == b""


def test_long_records_are_stored() -> None:
    codec = RecordCodec(ZlibEngine())
    text = random.Random(1).randbytes(MAX_CODED_RECORD).hex().encode()
    for size in (MAX_CODED_RECORD, MAX_CODED_RECORD + 1):
        blob = codec.encode(text[:size])
        assert (len(blob) == size + 1) == (size > MAX_CODED_RECORD)
        assert codec.decode(blob) == text[:size]


def test_records_with_an_extreme_ratio_are_stored() -> None:
    """Otherwise a few damaged bytes could decode to as much."""
    codec = RecordCodec(ZlibEngine())
    assert len(codec.encode(bytes(4096))) < 100
    blob = codec.encode(bytes(MAX_CODED_RECORD))
    assert len(blob) == MAX_CODED_RECORD + 1
    payload = ZlibEngine().start_record_session().encode(bytes(MAX_CODED_RECORD))
    with pytest.raises(DamagedRecordError):
        codec.decode(payload)


@pytest.mark.parametrize("threads", [1, 2])
def test_batches(threads: int) -> None:
    """Results equal those of single records, in order, for any number of threads."""
    source = random.Random(1)
    records = [source.randbytes(source.randrange(30)).hex().encode() for _ in range(1500)]
    codec = RecordCodec(ZlibEngine(), threads=threads)
    blobs = codec.encode_batch(records)
    assert blobs == [codec.encode(record) for record in records]
    assert codec.decode_batch(blobs) == records
    assert codec.decode_batch([]) == []
    blobs[1234] = b"\xff"[:0] + b"\x07nothing that zlib would write"
    with pytest.raises(DamagedRecordError, match=r"record 1234 \(counted from 0\)") as caught:
        codec.decode_batch(blobs)
    assert caught.value.records == (1234,)


@pytest.mark.parametrize("threads", [1, 2])
def test_measured_batches(threads: int) -> None:
    source = random.Random(2)
    records = [source.randbytes(source.randrange(30)) for _ in range(700)]
    done: list[int] = []
    found = RecordCodec(PlainEngine(), threads=threads).measure_batch(records, done.append)
    assert [costs.bits.tolist() for costs in found] == [[*record, 1000] for record in records]
    assert [(2 * costs.expected_bits).tolist() for costs in found] == [[*record, 1000] for record in records]
    assert sum(done) == sum(map(len, records))
    assert RecordCodec(PlainEngine()).measure_batch([]) == []
    (costs,) = RecordCodec(ZlibEngine()).measure_batch([bytes(MAX_CODED_RECORD + 1)])
    for bits in costs:
        assert bits.tolist() == [8] * (MAX_CODED_RECORD + 2)
    with pytest.raises(InputError, match="must be bytes"):
        RecordCodec(PlainEngine()).measure_batch(["text"])  # type: ignore[list-item]


def test_invalid_records() -> None:
    codec = RecordCodec(ZlibEngine())
    with pytest.raises(DamagedRecordError, match="cannot be decoded"):
        codec.decode(b"\x07\x07\x07")
    with pytest.raises(DamagedRecordError, match="unnecessary escape"):
        codec.decode(b"\xfe\x00")
    with pytest.raises(InputError, match="must be bytes"):
        codec.encode("text")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="threads"):
        RecordCodec(ZlibEngine(), threads=0)


def test_a_fingerprint_selects_the_version() -> None:
    model, priming = MODELS["characters"], PRIMINGS["primed"]
    codecs = [RecordCodec(make_engine(model, priming, version)) for version in VERSIONS["mixing"]]
    record = b"it was the age of wisdom"
    with tempfile.TemporaryDirectory() as folder:
        save_codec_files(Path(folder), model, priming)
        for codec in codecs:
            reader = RecordCodec(folder, fingerprint=codec.fingerprint)
            assert reader.fingerprint == codec.fingerprint
            assert reader.decode(codec.encode(record)) == record
        with pytest.raises(WrongModelError, match="compressed with a different model"):
            RecordCodec(folder, fingerprint=bytes(32))
        with pytest.raises(InputError, match="bytes"):
            RecordCodec(folder, fingerprint="00")  # type: ignore[arg-type]
    assert len({codec.fingerprint for codec in codecs}) == len(codecs)


def test_the_check_byte() -> None:
    """It detects what an engine cannot: damage in a stored record, and another model."""
    codec = RecordCodec(PlainEngine(), check=True)
    blob = bytearray(codec.encode(b"\x01\x99"))
    assert blob[0] == 0xFF
    blob[1] ^= 1
    with pytest.raises(DamagedRecordError, match="check byte"):
        codec.decode(bytes(blob))
    blobs = [codec.encode(bytes([letter]) * 40) for letter in range(200)]
    other = RecordCodec(PlainEngine(start=b"x"), check=True)
    assert other.fingerprint != codec.fingerprint
    passed = 0
    for blob_of_codec in blobs:
        try:
            other.decode(blob_of_codec)
            passed += 1
        except DamagedRecordError:
            continue
    assert passed < 10


@_ENGINES
@settings(max_examples=100)
@given(blob=st.binary(max_size=40))
def test_any_bytes_decode_or_are_refused(engine: Engine, blob: bytes) -> None:
    try:
        record = RecordCodec(engine).decode(blob)
    except DamagedRecordError:
        return
    assert isinstance(record, bytes)
