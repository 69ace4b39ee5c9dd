"""The corrector's network against floating-point arithmetic, and the native one against it."""

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom_codec.engines.engine import VERSIONS
from charloom_codec.engines.native import NativeEngine, supported
from charloom_codec.model.corrector import CATEGORIES, INPUTS
from charloom_codec.reference.contexts import CONTEXTS, FULL
from charloom_codec.reference.corrector import compute_correction
from charloom_codec.reference.memory import APMS
from charloom_codec.reference.plain_engine import ReferenceEngine
from charloom_codec.reference.state_maps import stretch
from correctors import random_corrector
from small_engines import BLOCKS, MODELS, PRIMINGS, TEXT, engine_of


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 30, 400]))
@settings(max_examples=50)
def test_the_correction_is_that_of_the_network_in_floating_point(seed: int, largest: int) -> None:
    corrector, generator = random_corrector(seed, largest), np.random.default_rng(seed)
    inputs = generator.integers(-2815, 2816, INPUTS)
    categories = [int(generator.integers(0, values)) for values in CATEGORIES]
    first = np.cumsum([0, *CATEGORIES[:-1]])
    sums = inputs / 2**10 @ (corrector.inputs / 2**12) + (corrector.rows[first + categories] / 2**22).sum(0)
    units = np.clip(sums, 0, 32_767 / 2**11)
    expected = units @ (corrector.output / 2**12) + corrector.output_bias[0] / 2**23
    # A unit is rounded down to a multiple of 2^-11, the result to one of 2^-8.
    tolerance = np.abs(corrector.output / 2**12).sum() / 2**11 + 1 / 2**8
    assert compute_correction(corrector, inputs.tolist(), categories) / 2**8 == pytest.approx(expected, abs=tolerance)


@pytest.mark.skipif(not supported(), reason="needs the native kernels")
@pytest.mark.parametrize(
    ("model", "largest"),
    [
        *(("characters", 300), ("bytes", 32_767)),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("characters", 32_767), ("bytes", 300))),
    ],
)
def test_every_instruction_set_corrects_equally(model: str, largest: int) -> None:
    """Also with weights so large that sums wrap around."""
    corrector = random_corrector(largest, largest)
    blocks = [block for block in BLOCKS if block]
    plain = ReferenceEngine(MODELS[model], PRIMINGS["primed"], corrector=corrector)
    session, records = plain.start_session(4), plain.start_record_session()
    # A record again, after others: what was learned from them must have been undone.
    expected = [session.encode(block) for block in blocks], [records.encode(block) for block in (*blocks, blocks[0])]
    assert expected[1][0] == expected[1][-1]
    for name in supported():
        engine = engine_of(MODELS[model], PRIMINGS["primed"], name, fast=False, corrector=corrector)
        assert engine.fingerprint == plain.fingerprint
        session, records = engine.start_session(4), engine.start_record_session()
        assert [session.encode(block) for block in blocks] == expected[0]
        assert [records.encode(block) for block in (*blocks, blocks[0])] == expected[1]


@pytest.mark.skipif(not supported(), reason="needs the native kernels")
def test_the_data_to_fit_a_corrector_to() -> None:
    """A row for each decision that is corrected: inputs, categories, the bit."""
    text = TEXT[:52].encode() + bytes(range(90, 110))
    sessions: dict[int, Any] = {
        version: NativeEngine(MODELS["bytes"], PRIMINGS["primed"], supported()[-1], version).start_session(1)
        for version in VERSIONS["mixing"]
    }
    with pytest.raises(ValueError, match="the engine has no corrector"):
        sessions.pop(1).inspect(text)
    rows = {
        version: np.frombuffer(session.inspect(text), np.int16).reshape(-1, INPUTS + len(CATEGORIES) + 1)
        for version, session in sessions.items()
    }
    for of_version in rows.values():
        assert (of_version[:, INPUTS:-1] < CATEGORIES).all()
        assert set(of_version[:, -1].tolist()) == {0, 1}
    assert np.packbits(rows[2][:, -1].astype(np.uint8)).tobytes() == text
    assert rows[2][:, INPUTS].tolist() == list(range(8)) * len(text)
    # The input that is corrected: certain predictions are not.
    logits = rows[3][:, INPUTS - CONTEXTS - FULL - APMS - 1]
    assert abs(logits).max() <= stretch((1 << 16) - 512)
    assert 20 < len(rows[3]) < len(rows[2]) / 2


def test_a_harmful_corrector_loses_its_weight() -> None:
    """On a text unlike those that it was trained on, a corrector can be wrong; the mixture then learns to ignore it."""
    words = random.Random(1).choices(TEXT[:52].split(), k=600)
    text = " ".join(words).encode()[:2_400]
    neutral = random_corrector(4, 0)
    harmful = dataclasses.replace(neutral, output_bias=np.array([2 << 23], np.int32))  # 2 nats for each bit
    sizes = []
    for corrector in (neutral, harmful):
        name = supported()[-1] if supported() else "reference"
        engine = engine_of(MODELS["characters"], PRIMINGS["primed"], name, fast=False, corrector=corrector)
        session = engine.start_session(1)
        sizes.append([len(session.encode(text[i : i + 300])) for i in range(0, len(text), 300)])
    assert sizes[1][0] > 1.2 * sizes[0][0]
    assert sizes[1][-1] < 1.05 * sizes[0][-1]
