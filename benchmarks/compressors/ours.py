"""charloom's side: a model trained and primed on a text's first part, and the compressed sizes of the rest.

Sizes are those of files that were written, read, decoded and compared.
"""

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charloom import Codec, RecordCodec
from charloom_codec.engines.engine import Engine
from charloom_codec.engines.native import NativeEngine, choose_instruction_set
from charloom_codec.format.opening import open_engine
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom_codec.model.priming import PRIMING_FILE, Priming

MIXING, WITHOUT, FAST = "charloom", "charloom without the network", "charloom --fast"


def _without_network(model: IntegerModel) -> IntegerModel:
    """Returns a network with a uniform prediction, to measure the context models without the network."""
    zero = model.output._replace(weights=np.zeros_like(model.output.weights))
    return dataclasses.replace(model, output=zero, output_bias=np.zeros_like(model.output_bias))


def make_model(first_part: bytes, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Trains a model with options of ``charloom train``, unless ``folder`` has one."""
    start = time.perf_counter()
    reused = (folder / "model.safetensors").exists()
    if not reused:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "first_part.txt"
            file.write_bytes(first_part)
            words = [sys.executable, "-m", "charloom", "train", str(file), "--output", str(folder), *options]
            subprocess.run(words, check=True, capture_output=True)
    return {
        "trained": not reused,
        "seconds": round(time.perf_counter() - start, 1),
        "network_bytes": (folder / INTEGER_MODEL_FILE).stat().st_size,
        "priming_bytes": (folder / PRIMING_FILE).stat().st_size,
    }


def open_engines(folder: Path) -> dict[str, Engine]:
    """Returns charloom's engines by contestant."""
    instruction_set = choose_instruction_set()
    assert instruction_set is not None, "this benchmark needs the native kernels"
    (model, _), priming = IntegerModel.load(folder / INTEGER_MODEL_FILE), Priming.load(folder)
    return {
        MIXING: open_engine(folder, fast=False),
        WITHOUT: NativeEngine(_without_network(model), priming, instruction_set),
        FAST: open_engine(folder, fast=True),
    }


def file_size(engine: Engine, data: bytes) -> int:
    """Returns the size of the compressed file, after checking that it decompresses to ``data``."""
    codec = Codec(engine, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compressed"
        file.write_bytes(codec.compress(data))
        assert codec.decompress(file.read_bytes()) == data
        return file.stat().st_size


def records_size(engine: Engine, records: Sequence[bytes]) -> int:
    """Returns the total size of the encoded records, without framing, after checking that they decode."""
    codec = RecordCodec(engine, threads=1)
    blobs = codec.encode_batch(records)
    assert codec.decode_batch(blobs) == list(records)
    return sum(map(len, blobs))
