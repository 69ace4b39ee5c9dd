"""Damaged files within the time and memory of whole ones; limits that the kernel keeps."""

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from charloom import Codec
from fake_engines import PlainEngine, ZlibEngine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")

_TEXT = b"it was the best of times, it was the worst of times, " * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = random.Random(1).randbytes(300_000)
    samples = {
        "plain": Codec(PlainEngine()).compress(_TEXT),
        "blocks": Codec(ZlibEngine()).compress(_TEXT * 300),
        "lanes": Codec(ZlibEngine()).compress(_TEXT * 1000 + noise),
        "noise": Codec(ZlibEngine()).compress(noise),
    }
    records = io.BytesIO()
    Codec(ZlibEngine()).compress_lines(io.BytesIO(_TEXT + noise[:5000]), records)
    samples["records"] = records.getvalue()
    for name, blob in samples.items():
        (tmp_path / f"{name}.blob").write_bytes(blob)
    return tmp_path


def _run(folder: Path, cases: int) -> None:
    program = Path(__file__).with_name("decode_within_limits.py")
    done = subprocess.run(
        [sys.executable, str(program), str(folder), str(cases), "0"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert sum(result["counts"].values()) == cases
    assert {"DamagedFileError", "TruncatedFileError", "TrailingDataError"} <= set(result["counts"])


def test_a_few_hundred(folder: Path) -> None:
    _run(folder, 300)


@pytest.mark.slow
def test_ten_thousand(folder: Path) -> None:
    _run(folder, 10_000)
