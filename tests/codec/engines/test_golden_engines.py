"""Golden bytes of the engines: later versions must write and read the same, or name another format."""

import json
from pathlib import Path

import pytest

from charloom_codec.engines.native import NativeEngine, supported
from golden_engines import MODEL, PLAIN, PRIMING, decoded, encoded

_GOLDEN = json.loads(Path(__file__).with_name("golden_engines.json").read_text(encoding="ascii"))


def test_the_model_is_unchanged() -> None:
    assert MODEL.compute_fingerprint().hex() == _GOLDEN["model"]


@pytest.mark.parametrize("mode", PLAIN)
def test_reference(mode: str) -> None:
    assert encoded(PLAIN[mode]()) == _GOLDEN[mode]


@pytest.mark.parametrize("mode", PLAIN)
@pytest.mark.parametrize("name", supported())
def test_native(name: str, mode: str) -> None:
    engine = NativeEngine(MODEL, None if mode == "fast" else PRIMING, name, 1 if mode == "mixing 1" else None)
    assert encoded(engine) == _GOLDEN[mode]
    assert decoded(engine, _GOLDEN[mode])
