"""Damaged files within the time and memory of undamaged ones; the kernel enforces the limits."""

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from charloom import Codec
from charloom_codec.engines.native import choose_instruction_set
from charloom_codec.format.opening import make_engine
from fake_engines import PlainEngine, ZlibEngine
from golden_engines import MODEL, PRIMING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space need Linux")
_native = pytest.mark.skipif(
    choose_instruction_set() is None, reason="the reference engines take longer than the limit"
)

_TEXT = b"it was the best of times, it was the worst of times, " * 20


@pytest.fixture
def fake_samples(tmp_path: Path) -> Path:
    """Samples of the container's own tests; the first part of a name is the engine's."""
    noise = random.Random(1).randbytes(300_000)
    samples = {
        "plain": Codec(PlainEngine()).compress(_TEXT),
        "zlib blocks": Codec(ZlibEngine()).compress(_TEXT * 300),
        "zlib lanes": Codec(ZlibEngine()).compress(_TEXT * 1000 + noise),
        "zlib noise": Codec(ZlibEngine()).compress(noise),
        "zlib records": _as_records(Codec(ZlibEngine()), _TEXT + noise[:5000]),
    }
    return _written(tmp_path, samples)


@pytest.fixture
def real_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Samples of the native engines."""
    samples = {}
    for fast in (True, False):
        codec = Codec(make_engine(MODEL, None if fast else PRIMING), threads=1)
        name = "fast" if fast else "mixing"
        samples[f"{name} short"] = codec.compress(_TEXT)
        samples[f"{name} blocks"] = codec.compress(_TEXT * 62 + b"\xff\0 the end")
        samples[f"{name} records"] = _as_records(codec, _TEXT[:200] + b"\n[12:30] a=7\n\n\xff\n" * 5)
        with monkeypatch.context() as patch:
            patch.setattr("charloom_codec.engines.engine.Engine.choose_num_lanes", lambda *_: 4)
            samples[f"{name} lanes"] = codec.compress(_TEXT * 4)
    return _written(tmp_path, samples)


def _as_records(codec: Codec, data: bytes) -> bytes:
    target = io.BytesIO()
    codec.compress_lines(io.BytesIO(data), target)
    return target.getvalue()


def _written(folder: Path, samples: dict[str, bytes]) -> Path:
    for name, blob in samples.items():
        (folder / f"{name}.blob").write_bytes(blob)
    return folder


def _run(folder: Path, cases: int) -> None:
    program = Path(__file__).parents[2] / "support" / "decode_within_limits.py"
    done = subprocess.run(
        [sys.executable, str(program), str(folder), str(cases), "0"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(program.parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert {"DamagedFileError", "TruncatedFileError", "TrailingDataError"} <= set(result["counts"])


def test_a_hundred(fake_samples: Path) -> None:
    _run(fake_samples, 100)


@pytest.mark.slow
def test_ten_thousand(fake_samples: Path) -> None:
    _run(fake_samples, 10_000)


@_native
def test_thirty_of_the_real_engines(real_samples: Path) -> None:
    _run(real_samples, 30)


@_native
@pytest.mark.slow
def test_ten_thousand_of_the_real_engines(real_samples: Path) -> None:
    _run(real_samples, 10_000)
