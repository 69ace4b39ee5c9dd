"""The files of a model folder, with and without a package that can convert a model to integers."""

import shutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from charloom import LanguageModel, ModelFolderError
from charloom.compression.quantization import quantize as quantize_language_model
from charloom_codec import Codec
from charloom_codec.model import codec_files
from charloom_codec.model.codec_files import FloatModel, load_codec_files, quantize, save_codec_files
from small_engines import MODELS, PRIMINGS


def test_charloom_converts_its_models(char_model: Path) -> None:
    (found,) = entry_points(group="charloom_codec.quantizers")
    assert found.load() is quantize_language_model
    model = LanguageModel.load(char_model)
    assert isinstance(model, FloatModel)
    assert quantize(model).compute_fingerprint() == quantize(char_model).compute_fingerprint()


def test_without_charloom(char_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    shutil.copytree(char_model, folder)
    text = b"the quick brown fox jumps over the lazy dog\n" * 9
    monkeypatch.setattr(codec_files, "entry_points", lambda **_: ())
    before = Codec(folder).compress(text)
    (folder / "codec.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"codec\.safetensors is missing; copy it .* or install charloom"):
        Codec(folder).compress(text)
    monkeypatch.undo()
    with pytest.warns(match="was missing and has been created again"):
        assert Codec(folder).decompress(before) == text


@pytest.mark.parametrize("priming", ["primed", "empty"])
@pytest.mark.parametrize("fast", [False, True])
def test_saved_files_are_loaded(priming: str, fast: bool, tmp_path: Path) -> None:
    text = PRIMINGS["primed"] if priming == "primed" else type(PRIMINGS["primed"])()
    save_codec_files(tmp_path, MODELS["characters"], text)
    integers, found = load_codec_files(tmp_path, fast=fast)
    assert integers.compute_fingerprint() == MODELS["characters"].compute_fingerprint()
    assert found == (type(text)() if fast else text)
