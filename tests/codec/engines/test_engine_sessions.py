"""Sessions of the engines: independent of earlier and concurrent sessions, and of damaged input."""

import contextlib
import functools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import Codec
from charloom_codec.engines import engine as engine_module
from charloom_codec.engines.engine import CodingCosts, Engine, RecordSession
from charloom_codec.engines.native import supported
from charloom_codec.model.priming import Priming
from charloom_codec.reference.byte_trees import ByteTrees
from charloom_codec.reference.memory import Memory
from charloom_codec.reference.plain_engine import FastLanes, MixingLanes, ReferenceSession
from charloom_codec.reference.rules import MIXING_RULES
from small_engines import BLOCKS, CASES, MODELS, PRIMINGS, TEXT, engine_of
from small_segments import compressed

_native = pytest.mark.skipif(not supported(), reason="charloom was built without native code")


@_native
@pytest.mark.parametrize(
    ("fast", "primed"),
    [
        (True, "unprimed"),
        (False, "primed"),
        pytest.param(False, "unprimed", marks=pytest.mark.slow),
        pytest.param(False, "silent", marks=pytest.mark.slow),
    ],
)
def test_a_session_does_not_depend_on_others(fast: bool, primed: str) -> None:
    """Sessions share their initial state and leave it unchanged."""
    model, priming, name = MODELS["characters"], PRIMINGS[primed], supported()[-1]
    source = random.Random(2)
    texts = [TEXT.encode(), b"", source.randbytes(3000), TEXT.encode() * 30, source.randbytes(200_000)]
    expected = [engine_of(model, priming, name, fast=fast).start_session(4).encode(text) for text in texts]
    engine = engine_of(model, priming, name, fast=fast)
    beside = engine.start_session(1)
    for number in [0, 2, 0, 1, 3, 0, 4, 0, 2, 3]:
        beside.encode(texts[number][:100])
        with contextlib.suppress(ValueError):
            engine.start_session(16).decode(source.randbytes(50), 1000)
        assert engine.start_session(4).encode(texts[number]) == expected[number]


@_native
@pytest.mark.parametrize(("model", "fast", "primed"), CASES)
def test_measured_bits_are_those_of_the_payload(model: str, fast: bool, primed: str) -> None:
    """On all implementations; and measuring adapts to a block as encoding does."""
    names = ["reference", *supported()]
    engines = [engine_of(MODELS[model], PRIMINGS[primed], name, fast=fast) for name in names]
    for lanes in (1, 4):
        measured = []
        for engine in engines:
            measuring, encoding = engine.start_session(lanes), engine.start_session(lanes)
            costs = [CodingCosts.from_bytes(measuring.measure(block)) for block in BLOCKS]
            payloads = [encoding.encode(block) for block in BLOCKS]
            for block, of_block, payload in zip(BLOCKS, costs, payloads, strict=True):
                assert of_block.bits.shape == of_block.expected_bits.shape == (len(block),)
                assert min(bits.min(initial=1) for bits in of_block) >= 0
                # A payload ends as soon as it is unambiguous, and up to 8 bytes of zeros at its end are omitted.
                assert -72 < 8 * len(payload) - of_block.bits.sum() < 9
            assert measuring.encode(b"after") == encoding.encode(b"after")
            measured.append(np.concatenate(costs, axis=1))
        for others in measured[1:]:
            np.testing.assert_allclose(others, measured[0], rtol=1e-5, atol=1e-6)


@_native
@pytest.mark.parametrize(("model", "fast", "primed"), CASES)
def test_measured_bits_of_records(model: str, fast: bool, primed: str) -> None:
    """Bits are those of the payload, as for blocks, and a record does not change the state."""
    records = [b"", TEXT.encode(), b"a\nb\n", random.Random(3).randbytes(60), TEXT.encode()]
    measured = []
    for name in ["reference", *supported()]:
        session = engine_of(MODELS[model], PRIMINGS[primed], name, fast=fast).start_record_session()
        costs = [CodingCosts.from_bytes(session.measure(record)) for record in records]
        np.testing.assert_array_equal(costs[1], costs[-1])
        for record, of_record in zip(records, costs, strict=True):
            assert of_record.bits.shape == of_record.expected_bits.shape == (len(record) + 1,)
            assert -72 < 8 * len(session.encode(record)) - of_record.bits.sum() < 9
        measured.append(np.concatenate(costs, axis=1))
    for others in measured[1:]:
        np.testing.assert_allclose(others, measured[0], rtol=1e-5, atol=1e-6)


@_native
@pytest.mark.parametrize(("model", "fast", "primed"), CASES)
def test_expected_bits_are_the_mean_of_the_bits(model: str, fast: bool, primed: str) -> None:
    """Over all bytes that can follow, by their probabilities, also within a character and after an unknown one."""
    engine = engine_of(MODELS[model], PRIMINGS[primed], supported()[-1], fast=fast)
    for before in (b"", TEXT.encode()[:21], "né\u00e9".encode()[:-1], b"\xff", b"\xf0\x9f"):
        found = []
        for byte in range(256):
            session = engine.start_session(1)
            session.measure(before)
            found.append(np.ravel(CodingCosts.from_bytes(session.measure(bytes([byte])))))
        bits, expected_bits = np.array(found, np.float64).T
        probabilities = 2**-bits
        # The network alone codes a byte by one decision, and another one if it does not expect the byte: then all 256
        # bytes have a probability, also those that it has expected.
        tolerance = 0.02 if fast else 1e-4
        assert probabilities.sum() == pytest.approx(1, abs=tolerance)
        assert probabilities @ expected_bits == pytest.approx(probabilities @ bits, rel=tolerance)
        if fast:
            assert expected_bits == pytest.approx(expected_bits[0])


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_threads_give_the_same_bytes(fast: bool) -> None:
    """Many segments at once from the same initial state."""
    engine = engine_of(MODELS["characters"], PRIMINGS["silent"], supported()[-1], fast=fast)
    data = TEXT.encode() * 300 + random.Random(5).randbytes(3000) + TEXT.encode() * 100
    blobs = [compressed(data, engine, 2500, threads) for threads in (1, 2, 4)]
    assert blobs[0] == blobs[1] == blobs[2]
    assert len(blobs[0]) < len(data)
    for threads in (1, 2, 4):
        assert Codec(engine, threads=threads).decompress(blobs[0]) == data


@_native
@settings(max_examples=40)
@given(
    records=st.lists(st.binary(max_size=60) | st.sampled_from(TEXT.split("\n")).map(str.encode), max_size=12),
    damage=st.binary(max_size=20),
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_record_does_not_depend_on_those_before(fast: bool, records: list[bytes], damage: bytes) -> None:
    """Nor on records that were too long or damaged. The session is kept between examples."""
    session, fresh, last = _record_sessions(fast)
    for record in records:
        payload = session.encode(record)
        assert session.decode(payload, len(record)) == record
        if record:
            with pytest.raises(ValueError, match="longer"):
                session.decode(payload, len(record) - 1)
        with contextlib.suppress(ValueError):
            session.decode(damage, 100)
    assert session.encode(last) == fresh


@functools.cache
def _record_sessions(fast: bool) -> tuple[RecordSession, bytes, bytes]:
    """Returns a session to use, a payload of a fresh one, and its record."""
    engine = engine_of(MODELS["characters"], PRIMINGS["primed"], supported()[-1], fast=fast)
    record = TEXT[:50].encode()
    return engine.start_record_session(), engine.start_record_session().encode(record), record


@_native
def test_a_record_that_is_too_long_leaves_the_session_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "RECORD_CAPACITY", 10)
    session = engine_of(MODELS["characters"], PRIMINGS["silent"], supported()[0], fast=False).start_record_session()
    before = session.encode(b"it was")
    with pytest.raises(ValueError, match="exceeds the capacity of a lane"):
        session.encode(b"it was the")
    with pytest.raises(ValueError, match="exceeds the capacity of a lane"):
        session.decode(b"\0\0\0", 100)
    assert session.encode(b"it was") == before


@pytest.mark.parametrize("name", ["reference", *supported()[-1:]])
@pytest.mark.parametrize("fast", [True, False])
def test_a_truncated_payload_ends_the_decoding(fast: bool, name: str) -> None:
    """For any requested length, decoding ends with an error when the payload ends."""
    engine = engine_of(MODELS["characters"], Priming(), name, fast=fast)
    noise = random.Random(9).randbytes(60)
    payload = engine.start_session(1).encode(noise)
    for size in (0, 1, len(payload) // 2, len(payload) - 9):
        with pytest.raises(ValueError, match="too early"):
            engine.start_session(1).decode(payload[:size], 1 << 16)
    with pytest.raises(ValueError, match=r"data .* end"):  # trailing zeros are redundant
        engine.start_session(1).decode(payload + bytes(9), 60)


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_damaged_payloads_decode_alike(fast: bool) -> None:
    """Reference and native decoders return the same bytes or raise the same error."""
    engines = [engine_of(MODELS["characters"], Priming(), name, fast=fast) for name in ("reference", *supported())]
    source = random.Random(4)
    payload = engines[0].start_session(4).encode(TEXT[:30].encode())
    for _ in range(15):
        damaged = bytearray(payload)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(len(damaged))] = source.choice([0, 255, source.randrange(256)])
        results = []
        for engine in engines:
            try:
                results.append(engine.start_session(4).decode(bytes(damaged), 30))
            except ValueError as error:
                results.append(str(error).encode())
        assert len(set(results)) == 1


@_native
@pytest.mark.parametrize("name", supported())
@settings(max_examples=100)
@given(
    payload=st.binary(max_size=60)
    | st.tuples(st.binary(max_size=9), st.sampled_from([b"\0", b"\xff"])).map(lambda parts: parts[0] + parts[1] * 50),
    lanes=st.sampled_from([1, 4, 64]),
)
def test_any_payload_ends(name: str, payload: bytes, lanes: int) -> None:
    """It decodes to bytes or a ValueError; under sanitizers, without reads out of bounds."""
    for fast in (True, False):
        engine = _fuzzed_engine(name, fast)
        with contextlib.suppress(ValueError):
            assert len(engine.start_session(lanes).decode(payload, 500)) == 500
        with contextlib.suppress(ValueError):
            assert len(engine.start_record_session().decode(payload, 500)) <= 500


@functools.cache
def _fuzzed_engine(name: str, fast: bool) -> Engine:
    return engine_of(MODELS["characters"], PRIMINGS["primed"], name, fast=fast)


def test_lanes_have_their_capacity_in_bytes() -> None:
    lanes = MixingLanes(MODELS["characters"], MIXING_RULES[1], None, ByteTrees(None), Memory(4, 4), b"", 3, 1)
    session = ReferenceSession(lanes, 1)
    session.encode(b"abc")
    with pytest.raises(ValueError, match="exceeds the capacity of a lane"):
        session.encode(b"d")
    assert ReferenceSession(FastLanes(MODELS["characters"], 1), 1).encode(b"abcd")
