"""The native engines against the plain ones: the same bytes on every instruction set, and each decodes the others'."""

import contextlib
import functools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom.codec import native_engines, reference_engines
from charloom.codec.engine import Engine, RecordSession
from charloom.codec.engines import make_engine
from charloom.codec.integer_model import IntegerModel
from charloom.codec.native import supported
from charloom.codec.native_engines import NativeFastEngine, NativeMixingEngine
from charloom.codec.priming import Priming
from charloom.codec.reference_coding import FastLanes, MixingLanes, ReferenceSession
from charloom.codec.reference_contexts import History, Match
from charloom.codec.reference_counters import HISTORIES
from charloom.codec.reference_engines import ReferenceFastEngine, ReferenceMixingEngine
from integer_models import CHARACTERS, bigram_model, random_model, with_tokens

_native = pytest.mark.skipif(not supported(), reason="charloom was built without native code")

TEXT = (
    "it was the best of times, it was the worst of times,\n"
    "[12:30] a=7 b=19 say: it was the age of wisdom.\n"
    "日本語のテキスト。日本語äö—🙂\n"
)
# What stands twice is matched; QQQ, Я and the bytes of no character are lost to the network.
_BLOCKS = [
    TEXT[60:150].encode(),
    b"",
    TEXT.encode()[-31:] + "QQQ Я 日".encode() + b"\xe6\x97\xff\x00\xfe",
    random.Random(1).randbytes(40),
    b"x",
    TEXT[60:150].encode() + bytes(40),
]
_MODELS = {
    "characters": bigram_model(TEXT * 2),
    "characters, at random": with_tokens(
        random_model(5, "lstm", hidden=20, vocabulary=len(CHARACTERS), style="wild"), CHARACTERS
    ),
    "bytes": random_model(6, "gru", hidden=33, vocabulary=256, layers=2, style="wild"),
    "some bytes": random_model(7, "rnn_relu", hidden=8, vocabulary=100),
}
_PRIMINGS = {
    "unprimed": Priming(),
    "primed": Priming(TEXT[:160].encode(), 70),
    "silent": Priming(TEXT[100:].encode(), len(TEXT[100:].encode())),
}


def _engine(model: IntegerModel, priming: Priming, name: str, *, fast: bool) -> Engine:
    if name == "reference":
        return ReferenceFastEngine(model) if fast else ReferenceMixingEngine(model, priming)
    return NativeFastEngine(model, name) if fast else NativeMixingEngine(model, priming, name)


def _others(model: IntegerModel, priming: Priming, *, fast: bool) -> list[Engine]:
    """One for each instruction set."""
    return [_engine(model, priming, name, fast=fast) for name in supported()]


@_native
@pytest.mark.parametrize("lanes", [1, 4, 16, 64])
@pytest.mark.parametrize("model", _MODELS.values(), ids=_MODELS)
def test_fast_gives_the_same_bytes(model: IntegerModel, lanes: int) -> None:
    plain = ReferenceFastEngine(model)
    session = plain.begin(lanes)
    payloads = [session.encode(block) for block in _BLOCKS]
    for engine in _others(model, Priming(), fast=True):
        session = engine.begin(lanes)
        assert [session.encode(block) for block in _BLOCKS] == payloads
    for engine in [plain, *_others(model, Priming(), fast=True)]:
        session = engine.begin(lanes)
        found = [session.decode(p, len(block)) for p, block in zip(payloads, _BLOCKS, strict=True)]
        assert found == _BLOCKS


@_native
@pytest.mark.parametrize("lanes", [1, 4, 16, 64])
@pytest.mark.parametrize(
    ("name", "primed"),
    [
        ("characters", "primed"),
        ("characters", "silent"),
        ("characters, at random", "unprimed"),
        ("bytes", "primed"),
        ("some bytes", "silent"),
    ],
)
def test_mixing_gives_the_same_bytes(name: str, primed: str, lanes: int) -> None:
    model, priming = _MODELS[name], _PRIMINGS[primed]
    plain = ReferenceMixingEngine(model, priming).begin(lanes)
    payloads = [plain.encode(block) for block in _BLOCKS]
    for engine in _others(model, priming, fast=False):
        session = engine.begin(lanes)
        assert [session.encode(block) for block in _BLOCKS] == payloads
        session = engine.begin(lanes)
        found = [session.decode(p, len(block)) for p, block in zip(payloads, _BLOCKS, strict=True)]
        assert found == _BLOCKS


@pytest.mark.parametrize("lanes", [1, 4])
def test_plain_mixing_decodes_what_it_encoded(lanes: int) -> None:
    engine = ReferenceMixingEngine(_MODELS["characters"], _PRIMINGS["primed"])
    session, decoding = engine.begin(lanes), engine.begin(lanes)
    for block in _BLOCKS:
        assert decoding.decode(session.encode(block), len(block)) == block


@_native
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("model", _MODELS.values(), ids=_MODELS)
def test_records_give_the_same_bytes(model: IntegerModel, fast: bool) -> None:
    records = [b"", b"\n", b"it was the\nbest of times,\n", TEXT[-20:].encode(), b"\n\n\xff", b"QQQ", b"12:30 a=7"]
    for priming in [_PRIMINGS["unprimed"]] if fast else _PRIMINGS.values():
        plain = _engine(model, priming, "reference", fast=fast).records()
        payloads = [plain.encode(record) for record in records]
        assert plain.decode(payloads[2], 100) == records[2]
        for engine in _others(model, priming, fast=fast):
            session = engine.records()
            assert [session.encode(record) for record in records] == payloads
            assert [session.decode(payload, 100) for payload in payloads] == records


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_long_texts_agree_between_instruction_sets(fast: bool) -> None:
    """Longer than the plain engines have time for: tables fill, counts reach their limits, slots change hands."""
    source = random.Random(3)
    words = [source.randbytes(source.randrange(1, 6)) for _ in range(2000)]
    text = b" ".join(source.choices(words, k=4000)) + TEXT.encode() * 60 + bytes(10_000) + source.randbytes(10_000)
    model = _MODELS["characters"]
    for lanes in (1, 16):
        sessions = [engine.begin(lanes) for engine in _others(model, _PRIMINGS["primed"], fast=fast)]
        payloads = {session.encode(text) for session in sessions}
        assert len(payloads) == 1
        (payload,) = payloads
        for engine in _others(model, _PRIMINGS["primed"], fast=fast):
            assert engine.begin(lanes).decode(payload, len(text)) == text


@_native
@pytest.mark.parametrize("lanes", [1, 4])
def test_small_tables(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    """Where contexts push each other out all the time, within one byte too."""
    for module in (native_engines, reference_engines):
        monkeypatch.setattr(module, "FULL_BITS", 2)
        monkeypatch.setattr(module, "LIGHT_BITS", 3)
    model, priming = _MODELS["characters"], _PRIMINGS["primed"]
    plain = ReferenceMixingEngine(model, priming).begin(lanes)
    payload = plain.encode(TEXT.encode())
    for engine in _others(model, priming, fast=False):
        assert engine.begin(lanes).encode(TEXT.encode()) == payload
        assert engine.begin(lanes).decode(payload, len(TEXT.encode())) == TEXT.encode()


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_the_voice_helps(fast: bool) -> None:
    """So that equal bytes are not those of voices that are never heard."""
    for name in ("reference", supported()[-1]):
        text = TEXT[:60].encode()
        sizes = [
            len(_engine(model, Priming(), name, fast=fast).begin(1).encode(text))
            for model in (_MODELS["characters"], _MODELS["characters, at random"])
        ]
        assert sizes[0] < 0.7 * sizes[1]


@_native
@settings(deadline=None, max_examples=40)
@given(
    records=st.lists(st.binary(max_size=60) | st.sampled_from(TEXT.split("\n")).map(str.encode), max_size=12),
    damage=st.binary(max_size=20),
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_record_does_not_depend_on_those_before(fast: bool, records: list[bytes], damage: bytes) -> None:
    """Nor on what was too long or damaged. The session is that of the examples before."""
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
    """One to be used, a payload of a fresh one, and what it holds."""
    engine = _engine(_MODELS["characters"], _PRIMINGS["primed"], supported()[-1], fast=fast)
    record = TEXT[:50].encode()
    return engine.records(), engine.records().encode(record), record


@_native
def test_a_record_that_is_too_long_to_code_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_engines, "RECORD_CAPACITY", 10)
    session = _engine(_MODELS["characters"], _PRIMINGS["silent"], supported()[0], fast=False).records()
    before = session.encode(b"it was")
    with pytest.raises(ValueError, match="room"):
        session.encode(b"it was the")
    with pytest.raises(ValueError, match="room"):
        session.decode(b"\0\0\0", 100)
    assert session.encode(b"it was") == before


@pytest.mark.parametrize("name", ["reference", *supported()[-1:]])
@pytest.mark.parametrize("fast", [True, False])
def test_a_truncated_payload_ends_the_decoding(fast: bool, name: str) -> None:
    """However long a block is asked for: what it takes is what the payload lasts for, and that is found out."""
    engine = _engine(_MODELS["characters"], Priming(), name, fast=fast)
    noise = random.Random(9).randbytes(60)
    payload = engine.begin(1).encode(noise)
    for size in (0, 1, len(payload) // 2, len(payload) - 9):
        with pytest.raises(ValueError, match="end too early"):
            engine.begin(1).decode(payload[:size], 1 << 16)
    with pytest.raises(ValueError, match="go on after their end"):  # some zeros more say the same
        engine.begin(1).decode(payload + bytes(9), 60)


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_damaged_payloads_end_alike(fast: bool) -> None:
    """Plain and native decoders see the same bytes, or the same error."""
    engines = [_engine(_MODELS["characters"], Priming(), name, fast=fast) for name in ("reference", *supported())]
    source = random.Random(4)
    payload = engines[0].begin(4).encode(TEXT[:30].encode())
    for _ in range(15):
        damaged = bytearray(payload)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(len(damaged))] = source.choice([0, 255, source.randrange(256)])
        results = []
        for engine in engines:
            try:
                results.append(engine.begin(4).decode(bytes(damaged), 30))
            except ValueError as error:
                results.append(str(error).encode())
        assert len(set(results)) == 1


def test_plain_engines_where_there_is_no_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _MODELS["characters"]
    monkeypatch.setenv("CHARLOOM_KERNELS", "reference")
    fast, mixing = (make_engine(model, _PRIMINGS["primed"], fast=fast) for fast in (True, False))
    assert isinstance(fast, ReferenceFastEngine)
    assert isinstance(mixing, ReferenceMixingEngine)
    monkeypatch.setenv("CHARLOOM_KERNELS", "auto")
    if supported():
        for plain in (fast, mixing):
            native = make_engine(model, _PRIMINGS["primed"], fast=plain is fast)
            assert type(native) is not type(plain)
            assert native.fingerprint == plain.fingerprint
            lengths = [0, 1, 4095, 4096, 1 << 14, 1 << 18, (1 << 20) - 1, 1 << 20, 1 << 24]
            assert [native.lanes_for(n) for n in lengths] == [plain.lanes_for(n) for n in lengths]


def test_fingerprints_tell_engines_apart() -> None:
    models = list(_MODELS.values())
    engines: list[Engine] = [ReferenceFastEngine(model) for model in models]
    engines += [ReferenceMixingEngine(model, priming) for model in models for priming in _PRIMINGS.values()]
    assert len({engine.fingerprint for engine in engines}) == len(engines)


def test_a_model_without_a_word_to_say() -> None:
    silent = with_tokens(random_model(1, "gru", hidden=3, vocabulary=1), [b""])
    for name in ("reference", *supported()):
        with pytest.raises(ValueError, match="no token has bytes"):
            _engine(silent, Priming(), name, fast=True).begin(1)


def test_states_of_histories_fit_a_byte() -> None:
    assert len(HISTORIES.next) == len(HISTORIES.zeros) <= 256


def test_a_match_goes_no_further_than_what_was_written() -> None:
    history = History(b"abcabc", 4, 2)
    match = Match(3, at=6)
    assert match.expected(history) == 0
    history.text[6] = ord("x")
    history.written[0] = 7
    assert match.expected(history) == ord("x") | 256
    assert [history.has(place) for place in (5, 6, 7, 10, 14)] == [True, True, False, False, False]


def test_lanes_have_room_for_what_they_were_made_for() -> None:
    engine = ReferenceMixingEngine(_MODELS["characters"], Priming())
    memory = engine._lanes(1, 3, records=False).memory
    session = ReferenceSession(MixingLanes(_MODELS["characters"], memory, b"", 3, 1), 1)
    session.encode(b"abc")
    with pytest.raises(ValueError, match="room"):
        session.encode(b"d")
    assert ReferenceSession(FastLanes(_MODELS["characters"], 1), 1).encode(b"abcd")
