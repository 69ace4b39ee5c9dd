"""The integer model as a file: it loads as it was saved, and invalid content is refused."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom_codec.cells import CELL_NAMED
from charloom_codec.errors import ModelFolderError
from charloom_codec.model.codec_files import save_codec_files
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.network import ReferenceNetwork
from integer_models import random_model


def test_equal_models_are_equal_files() -> None:
    model = random_model(1, "gru", hidden=3, vocabulary=7)
    assert len({model.to_bytes(bytes(32)) for _ in range(20)}) == 1


def _model(cell: str = "lstm", layers: int = 2) -> IntegerModel:
    return random_model(1, cell, hidden=9, vocabulary=5, layers=layers)


@pytest.mark.parametrize("cell", CELL_NAMED)
def test_a_loaded_model_is_the_saved_one(cell: str, tmp_path: Path) -> None:
    model = _model(cell)
    (tmp_path / "codec.safetensors").write_bytes(model.to_bytes(b"priming"))
    loaded, priming = IntegerModel.load(tmp_path / "codec.safetensors")
    assert bytes.fromhex(priming) == b"priming"
    assert loaded.compute_fingerprint() == model.compute_fingerprint()
    assert loaded.list_tokens() == model.list_tokens() == [bytes([i]) for i in range(5)]
    assert loaded.cell == cell
    assert (loaded.hidden_size, loaded.vocabulary_size) == (9, 5)
    mine, theirs = ReferenceNetwork(model, 3), ReferenceNetwork(loaded, 3)
    for tokens in ([0, 1, 2], [4, -1, 3]):
        mine.step(np.array(tokens))
        theirs.step(np.array(tokens))
        assert np.array_equal(mine.frequencies, theirs.frequencies)


def test_the_fingerprint_covers_every_number() -> None:
    model = _model("gru")
    seen = {model.compute_fingerprint()}
    for name in model.to_arrays():
        if name in ("token_bytes", "token_offsets", "header"):
            continue
        changed = {n: a.copy() for n, a in model.to_arrays().items()}
        changed[name].flat[-1] -= 1
        seen.add(IntegerModel.from_arrays(changed).compute_fingerprint())
    assert len(seen) == 1 + len(model.to_arrays()) - 3


def test_the_fingerprint_is_the_same_everywhere() -> None:
    """The numbers come from no library's generator or fit."""
    arrays = {name: np.zeros_like(array) for name, array in _model("rnn_tanh").to_arrays().items()}
    arrays["header"][0] = 1
    for name in ("output", "layers.0.hidden", "layers.1.hidden", "layers.1.input"):
        arrays[f"{name}.shifts"][:] = 8, 12
    arrays["exp2"][0] = 1 << 14
    arrays["token_bytes"] = np.arange(97, 102, dtype=np.uint8)
    arrays["token_offsets"] = np.arange(6, dtype=np.int32)
    fingerprint = IntegerModel.from_arrays(arrays).compute_fingerprint().hex()
    assert fingerprint == "6b678ef902002a3acaec4c601ac4692d14af932303bc020b9d93a59c6f0de70e"


def _dense(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _shorter(name: str) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name][:-1].copy()

    return change


def _set(name: str, value: int, at: Any = ...) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name][at] = value

    return change


def _retyped(name: str, dtype: type) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name].astype(dtype)

    return change


def _removed(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.pop(name)


def _renamed(name: str, other: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.update({other: arrays.pop(name)})


_BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "later version": (_set("header", 2, 0), "format version 2, but this version of charloom reads format version 1"),
    "no such cell": (_set("header", 4, 1), "4 is not a valid cell number"),
    "another cell": (_set("header", 2, 1), "candidate_bias"),
    "start token": (_set("header", 5, 2), "start_token is not in the vocabulary"),
    "negative start token": (_set("header", -1, 2), "start_token is not in the vocabulary"),
    "short header": (_shorter("header"), "its header is not three int32 values"),
    "no header": (_removed("header"), "header"),
    "short table": (_shorter("token_table"), "token_table is int16"),
    "floats": (_retyped("token_table", np.float32), "token_table is float32"),
    "wide weights": (_retyped("output.weights", np.int16), "output.weights is int16"),
    "short bias": (_shorter("layers.1.bias"), "layers.1.bias is int32"),
    "large bias": (_set("output.bias", (1 << 28) + 1, 3), "output.bias contains a magnitude of more than"),
    "lowest bias": (_set("output.bias", -(1 << 31), 3), "output.bias contains a magnitude of more than"),
    "negative multiplier": (_set("output.multipliers", -1, 0), "output.multipliers are negative"),
    "first shift": (_set("layers.0.hidden.shifts", 17, 0), "layers.0.hidden.shifts 17"),
    "second shift": (_set("layers.1.input.shifts", 2, 1), "layers.1.input.shifts"),
    "negative shift": (_set("output.shifts", -1, 0), "output.shifts -1"),
    "overflow": (_set("output.shifts", 0, 0), "so large that a scaled product exceeds 32 bits"),
    "missing layer": (
        _renamed("layers.0.hidden.weights", "layers.7.hidden.weights"),
        "0 layers: the number must be between 1 and 64",
    ),
    "extra": (lambda arrays: arrays.update(more=np.zeros(3, np.int8)), "unknown array more"),
    "steep tanh": (_set("tanh", 32767), "tanh exceeds 16 bits"),
    "negative tanh": (_set("tanh", -1, (0, 3)), "tanh exceeds 16 bits"),
    "high exp2": (_set("exp2", 32767), "exp2 exceeds 16 bits"),
    "low exp2": (_set("exp2", 100), "exp2 exceeds 16 bits"),
    "offset beyond": (_set("token_offsets", 6, -1), "token_offsets do not match token_bytes"),
    "offset back": (_set("token_offsets", 0, 3), "token_offsets do not match|has no bytes"),
    "offset before": (_set("token_offsets", -1, 0), "token_offsets do not match token_bytes"),
    "no token": (
        lambda arrays: arrays.update(
            token_offsets=np.zeros_like(arrays["token_offsets"]), token_bytes=np.zeros(0, np.uint8)
        ),
        "has no bytes|no token has bytes|do not match",
    ),
    "same token twice": (_set("token_bytes", 1, 2), "a token is a prefix of another"),
    "flat weights": (lambda arrays: arrays.update({"output.weights": np.zeros(45, np.int8)}), "wrong shape"),
    "no units": (
        lambda arrays: arrays.update({"output.weights": np.zeros((5, 0), np.int8)}),
        "tokens and units are 5 and 0",
    ),
}


@pytest.mark.parametrize("name", list(_BAD))
def test_invalid_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    change, message = _BAD[name]
    arrays = {n: a.copy("C") for n, a in _model().to_arrays().items()}
    if name == "overflow":
        arrays["output.multipliers"][:] = 32767
        arrays["output.weights"][:] = 127
    change(arrays)
    file = tmp_path / "codec.safetensors"
    file.write_bytes(safetensors.numpy.save(_dense(arrays)))
    with pytest.raises(ModelFolderError, match=message) as error:
        IntegerModel.load(file)
    assert str(error.value).startswith(f"{file}: not an integer model")
    assert "\n" not in str(error.value)


def test_files_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="cannot read the integer model"):
        IntegerModel.load(tmp_path / "missing")
    with pytest.raises(ModelFolderError, match="cannot read the integer model"):
        IntegerModel.load(tmp_path)
    hostile = json.dumps({"header": {"dtype": "I32", "shape": [2**60], "data_offsets": [0, 2**62]}}).encode()
    for data in (b"", b"\xff" * 8, b"text", len(hostile).to_bytes(8, "little") + hostile, b"\xff" * 7 + b"\x7f"):
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(ModelFolderError, match="not an integer model"):
            IntegerModel.load(tmp_path / "bad")
    with pytest.raises(ModelFolderError, match="cannot save the files for compression"):
        save_codec_files(tmp_path / "no folder", _model(), Priming())


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_refused_or_valid(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The fingerprint finds damage that no rule excludes."""
    draw = random.Random(seed)
    file = tmp_path_factory.getbasetemp() / "damaged"
    model = _model("gru")
    data = bytearray(model.to_bytes(b""))
    for _ in range(draw.randint(1, 4)):
        data[draw.randrange(min(len(data), draw.choice([16, 3000, 10**9])))] = draw.randrange(256)
    if draw.random() < 0.2:
        del data[draw.randrange(len(data)) :]
    file.write_bytes(data)
    try:
        loaded, _ = IntegerModel.load(file)
    except ModelFolderError:
        return
    assert loaded.compute_fingerprint() == model.compute_fingerprint()


def test_loading_and_stepping_need_no_torch(tmp_path: Path) -> None:
    file = tmp_path / "codec.safetensors"
    file.write_bytes(_model().to_bytes(b""))
    code = (
        "import pathlib, sys, numpy\n"
        "from charloom_codec.model.integer_model import IntegerModel\n"
        "from charloom_codec.reference.network import ReferenceNetwork\n"
        f"model, _ = IntegerModel.load(pathlib.Path({str(file)!r}))\n"
        "ReferenceNetwork(model, 1).step(numpy.array([2]))\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
