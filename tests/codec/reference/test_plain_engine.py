"""The native engines against the reference: the same bytes on every instruction set, and each decodes the others'."""

import random

import pytest

from charloom_codec.engines import engine as engine_module
from charloom_codec.engines.engine import Engine
from charloom_codec.engines.native import supported
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.plain_engine import ReferenceEngine
from in_turn import in_turn
from integer_models import random_model, with_tokens
from small_engines import BLOCKS, CASES, MODELS, PRIMINGS, TEXT, engine_of

_native = pytest.mark.skipif(not supported(), reason="charloom was built without native code")


def _other_engines(model: IntegerModel, priming: Priming, *, fast: bool) -> list[Engine]:
    """Returns an engine for each instruction set."""
    return [engine_of(model, priming, name, fast=fast) for name in supported()]


@_native
@pytest.mark.parametrize("lanes", [1, 4, 16, 64])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_fast_gives_the_same_bytes(model: IntegerModel, lanes: int) -> None:
    plain = ReferenceEngine(model, None)
    session = plain.start_session(lanes)
    payloads = [session.encode(block) for block in BLOCKS]
    for engine in _other_engines(model, Priming(), fast=True):
        session = engine.start_session(lanes)
        assert [session.encode(block) for block in BLOCKS] == payloads
    for engine in [plain, *_other_engines(model, Priming(), fast=True)]:
        session = engine.start_session(lanes)
        found = [session.decode(p, len(block)) for p, block in zip(payloads, BLOCKS, strict=True)]
        assert found == BLOCKS


_MIXTURES = [
    ("characters", "primed"),
    ("characters", "silent"),
    ("characters, at random", "unprimed"),
    ("bytes", "primed"),
    ("some bytes", "silent"),
]


@_native
@pytest.mark.parametrize(("name", "primed", "lanes"), in_turn(_MIXTURES, (1, 4, 16, 64)))
def test_mixing_gives_the_same_bytes(name: str, primed: str, lanes: int) -> None:
    model, priming = MODELS[name], PRIMINGS[primed]
    plain = ReferenceEngine(model, priming).start_session(lanes)
    payloads = [plain.encode(block) for block in BLOCKS]
    for engine in _other_engines(model, priming, fast=False):
        session = engine.start_session(lanes)
        assert [session.encode(block) for block in BLOCKS] == payloads
        session = engine.start_session(lanes)
        found = [session.decode(p, len(block)) for p, block in zip(payloads, BLOCKS, strict=True)]
        assert found == BLOCKS


@pytest.mark.parametrize("lanes", [1, 4])
def test_plain_mixing_decodes_what_it_encoded(lanes: int) -> None:
    engine = ReferenceEngine(MODELS["characters"], PRIMINGS["primed"])
    session, decoding = engine.start_session(lanes), engine.start_session(lanes)
    for block in BLOCKS:
        assert decoding.decode(session.encode(block), len(block)) == block


@_native
@pytest.mark.parametrize(("name", "fast", "primed"), CASES)
def test_records_give_the_same_bytes(name: str, fast: bool, primed: str) -> None:
    records = [b"", b"\n", b"it was the\nbest of times,\n", TEXT[-20:].encode(), b"\n\n\xff", b"QQQ", b"12:30 a=7"]
    model, priming = MODELS[name], PRIMINGS[primed]
    plain = engine_of(model, priming, "reference", fast=fast).start_record_session()
    payloads = [plain.encode(record) for record in records]
    assert plain.decode(payloads[2], 100) == records[2]
    for engine in _other_engines(model, priming, fast=fast):
        session = engine.start_record_session()
        assert [session.encode(record) for record in records] == payloads
        assert [session.decode(payload, 100) for payload in payloads] == records


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_long_texts_agree_between_instruction_sets(fast: bool) -> None:
    """Longer than the reference has time for: tables fill, counts reach their limits, slots are replaced."""
    source = random.Random(3)
    words = [source.randbytes(source.randrange(1, 6)) for _ in range(2000)]
    text = b" ".join(source.choices(words, k=4000)) + TEXT.encode() * 60 + bytes(10_000) + source.randbytes(10_000)
    model = MODELS["characters"]
    for lanes in (1, 16):
        sessions = [engine.start_session(lanes) for engine in _other_engines(model, PRIMINGS["primed"], fast=fast)]
        payloads = {session.encode(text) for session in sessions}
        assert len(payloads) == 1
        (payload,) = payloads
        for engine in _other_engines(model, PRIMINGS["primed"], fast=fast):
            assert engine.start_session(lanes).decode(payload, len(text)) == text


@_native
@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("lanes", [1, 4])
def test_small_tables(monkeypatch: pytest.MonkeyPatch, lanes: int, bits: int) -> None:
    """Contexts replace each other all the time, within one byte too, and share slots."""
    monkeypatch.setattr(engine_module, "FULL_BITS", bits)
    monkeypatch.setattr(engine_module, "LIGHT_BITS", bits)
    model, priming = MODELS["characters"], PRIMINGS["primed"]
    plain = ReferenceEngine(model, priming).start_session(lanes)
    payload = plain.encode(TEXT.encode())
    for engine in _other_engines(model, priming, fast=False):
        assert engine.start_session(lanes).encode(TEXT.encode()) == payload
        assert engine.start_session(lanes).decode(payload, len(TEXT.encode())) == TEXT.encode()


@_native
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_records_with_small_tables(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """The changes of contexts that share a slot are undone after each record."""
    monkeypatch.setattr(engine_module, "FULL_BITS", bits)
    monkeypatch.setattr(engine_module, "LIGHT_BITS", bits)
    model, priming = MODELS["characters"], PRIMINGS["primed"]
    records = [TEXT[:60].encode(), b"12:30 a=7", TEXT[:60].encode()]
    plain = ReferenceEngine(model, priming).start_record_session()
    payloads = [plain.encode(record) for record in records]
    assert payloads[0] == payloads[2]
    for engine in _other_engines(model, priming, fast=False):
        session = engine.start_record_session()
        assert [session.encode(record) for record in records] == payloads


@_native
def test_counts_reach_their_limits() -> None:
    """Equal bits: the counts of nodes end at 250, those of StateMaps at 1023."""
    text = bytes(1500)
    model, priming = MODELS["characters"], PRIMINGS["unprimed"]
    payload = ReferenceEngine(model, priming).start_session(1).encode(text)
    for engine in _other_engines(model, priming, fast=False):
        assert engine.start_session(1).encode(text) == payload


@_native
@pytest.mark.parametrize("fast", [True, False])
def test_the_network_reduces_the_size(fast: bool) -> None:
    """Otherwise equal bytes could be those of engines that ignore the network."""
    for name in ("reference", supported()[-1]):
        text = TEXT[:60].encode()
        sizes = [
            len(engine_of(model, Priming(), name, fast=fast).start_session(1).encode(text))
            for model in (MODELS["characters"], MODELS["characters, at random"])
        ]
        assert sizes[0] < 0.7 * sizes[1]


def test_a_model_whose_tokens_have_no_bytes() -> None:
    with pytest.raises(ValueError, match="no token has bytes"):
        with_tokens(random_model(1, "gru", hidden=3, vocabulary=1), [b""])
