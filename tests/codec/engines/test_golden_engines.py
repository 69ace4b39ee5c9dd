"""Golden bytes of the engines: later versions must write and read the same, or name another format."""

import json
from pathlib import Path

import pytest

from charloom_codec.engines.native import NativeEngine, supported
from charloom_codec.reference.plain_engine import ReferenceEngine
from golden_engines import ENGINES, MODEL, decoded, encoded

_GOLDEN = json.loads(Path(__file__).with_name("golden_engines.json").read_text(encoding="ascii"))


def test_the_model_is_unchanged() -> None:
    assert MODEL.compute_fingerprint().hex() == _GOLDEN["model"]


@pytest.mark.parametrize("version", ENGINES)
def test_reference(version: str) -> None:
    assert encoded(ReferenceEngine(MODEL, *ENGINES[version])) == _GOLDEN[version]


@pytest.mark.parametrize("version", ENGINES)
@pytest.mark.parametrize("name", supported())
def test_native(name: str, version: str) -> None:
    priming, number = ENGINES[version]
    engine = NativeEngine(MODEL, priming, name, number)
    assert encoded(engine) == _GOLDEN[version]
    assert decoded(engine, _GOLDEN[version])
