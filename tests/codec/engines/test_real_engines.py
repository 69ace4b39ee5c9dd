"""The container on the engines of trained models: any bytes, both modes, any number of threads, the same results."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import (
    Codec,
    CompressedFileError,
    DamagedFileError,
    DamagedRecordError,
    LanguageModel,
    RecordCodec,
    RecordFile,
    WrongModelError,
)
from charloom_codec.engines.native import choose_instruction_set
from damage import damaged

pytestmark = pytest.mark.skipif(
    choose_instruction_set() is None,
    reason="the reference engines would take hours",
)

_SENTENCE = "the quick brown fox jumps over the lazy dog\n"
"""The sentence that ``char_model`` memorized."""

_FAST = pytest.mark.parametrize("fast", [True, False], ids=["fast", "mixing"])

_FILES = {
    "empty": b"",
    "one byte": b"x",
    "memorized": _SENTENCE.encode() * 50,
    "upper case": _SENTENCE.upper().encode() * 10,
    "a log": b"".join(b"Jun 14 15:16:%02d combo sshd[%d]: failed\n" % (n % 60, n * 7) for n in range(300)),
    "JSON": json.dumps([{"id": number, "name": f"user {number}"} for number in range(200)]).encode(),
    "source": Path(__file__).read_bytes(),
    "Japanese": "いろはにほへと ちりぬるを わかよたれそ つねならむ\n".encode() * 20,
    "noise": random.Random(1).randbytes(20_000),
    "not UTF-8": b"caf\xe9 \xff\xfe \xed\xa0\x80 the fox" * 30,
    "more than a block": (_SENTENCE.encode() + bytes(range(256))) * 300,
}
_LONG = _SENTENCE.encode() * 30_000
"""A text of several lanes: 64 in the fast engine, 16 in the mixture."""


@pytest.fixture(params=["char", "byte"])
def model(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(f"{request.param}_model")
    return folder


@_FAST
@pytest.mark.parametrize("name", _FILES)
def test_round_trip_of_every_file(name: str, fast: bool, model: Path) -> None:
    _assert_round_trip(_FILES[name], fast, model)


@pytest.mark.slow
@_FAST
def test_round_trip_of_a_long_file(fast: bool, model: Path) -> None:
    _assert_round_trip(_LONG, fast, model)


def test_lanes_of_the_mixture(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is patched: a text of this length has several lanes in the fast engine only."""
    monkeypatch.setattr("charloom_codec.engines.engine.Engine.choose_num_lanes", lambda *_: 16)
    _assert_round_trip(_FILES["more than a block"], False, model)


def _assert_round_trip(data: bytes, fast: bool, model: Path) -> None:
    blob = Codec(model, fast=fast, threads=1).compress(data)
    assert Codec(model, threads=2).decompress(blob) == data  # the header states the mode
    assert Codec(model, fast=fast, threads=2).compress(data) == blob
    assert len(blob) <= len(data) + 64


@_FAST
def test_a_memorized_text_takes_few_bytes(fast: bool, char_model: Path) -> None:
    data = _FILES["memorized"]
    assert len(Codec(char_model, fast=fast).compress(data)) < len(data) / 20


def test_a_model_in_memory_has_no_priming(char_model: Path) -> None:
    """The network is the same; only the folder has the text that primes the mixture."""
    data = _FILES["memorized"]
    loaded = LanguageModel.load(char_model)
    assert Codec(loaded, fast=True).compress(data) == Codec(char_model, fast=True).compress(data)
    blob = Codec(loaded).compress(data)
    assert Codec(loaded).decompress(blob) == data
    assert len(blob) > len(Codec(char_model).compress(data))
    # The folder decompresses it, too: the file states that the mixture was not primed.
    assert Codec(char_model).decompress(blob) == data


def test_the_wrong_model(char_model: Path, byte_model: Path) -> None:
    blob = Codec(char_model).compress(_FILES["a log"])
    with pytest.raises(WrongModelError):
        Codec(byte_model).decompress(blob)


@_FAST
@settings(max_examples=100)
@given(data=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes(fast: bool, char_model: Path, data: bytes) -> None:
    codec = Codec(char_model, fast=fast, threads=1)
    assert codec.decompress(codec.compress(data)) == data


@pytest.mark.slow
@_FAST
@settings(max_examples=10_000)
@given(data=st.binary(max_size=1000))
def test_ten_thousand_strings(fast: bool, char_model: Path, data: bytes) -> None:
    codec = Codec(char_model, fast=fast, threads=1)
    blob = codec.compress(data)
    assert codec.decompress(blob) == data
    assert len(blob) <= len(data) + 25


@_FAST
def test_damage(fast: bool, char_model: Path) -> None:
    data = _SENTENCE.encode() * 20 + _FILES["noise"][:200]
    codec = Codec(char_model, fast=fast, threads=1)
    blob = codec.compress(data)
    for seed in range(300):
        try:
            assert codec.decompress(damaged(blob, random.Random(seed))) == data
        except CompressedFileError:
            continue


@_FAST
def test_a_damaged_block_ends_early(fast: bool, char_model: Path) -> None:
    data = _FILES["more than a block"]
    blob = bytearray(Codec(char_model, fast=fast).compress(data))
    blob[len(blob) // 2] ^= 1
    with pytest.raises(DamagedFileError):
        Codec(char_model).decompress(bytes(blob))


@_FAST
def test_records(fast: bool, model: Path, tmp_path: Path) -> None:
    records = [*_FILES["a log"].splitlines(), b"", b"\xff\xfe", _SENTENCE.encode()]
    codec = RecordCodec(model, fast=fast, threads=2)
    blobs = codec.encode_batch(records)
    assert codec.decode_batch(blobs) == records
    alone = RecordCodec(model, fast=fast)
    assert blobs == [alone.encode(record) for record in records]
    RecordFile.write(tmp_path / "r.loom", records, model, fast=fast)
    with RecordFile(tmp_path / "r.loom", model) as file:
        assert list(file) == records
        assert file[200] == records[200]


def test_a_few_bytes_do_not_decode_to_a_long_record(char_model: Path) -> None:
    codec = RecordCodec(char_model)
    long = b"the quick brown fox " * 10_000
    assert codec.decode(codec.encode(long)) == long
    for payload in (bytes(24), b"\x7f" * 24, bytes(1000)):
        try:
            assert len(codec.decode(payload)) <= 4096 + 256 * len(payload)
        except DamagedRecordError:
            continue
