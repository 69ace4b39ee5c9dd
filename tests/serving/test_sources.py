"""Sources of models: loaded again when their files change, and never half of two models."""

import shutil
from pathlib import Path

import pytest
import torch

from charloom import CharloomError, CharloomWarning, LanguageModel
from charloom.io.lock import FolderLock
from charloom.models.folder import CONFIG_FILE, WEIGHTS_FILE
from charloom.serving.completions import ServedModel
from charloom.serving.sources import ModelSource, name_source


@pytest.fixture
def folder(char_model: Path, tmp_path: Path) -> Path:
    shutil.copytree(char_model, tmp_path / "served")
    return tmp_path / "served"


def _save_changed(folder: Path, amount: float) -> LanguageModel:
    model = LanguageModel.load(folder)
    with torch.no_grad():
        model.output.bias.add_(amount)
    model.save(folder)
    return model


def _get(source: ModelSource) -> ServedModel:
    found = source.get()
    assert found is not None
    return found


def test_a_model_is_loaded_again_when_its_files_change(folder: Path) -> None:
    source = ModelSource(folder)
    first = _get(source)
    assert source.name == "served"
    assert source.get() is first
    changed = _save_changed(folder, 1.0)
    second = _get(source)
    assert second.fingerprint == ServedModel("", changed).fingerprint != first.fingerprint
    assert source.get() is second
    assert first.fingerprint == ServedModel("", first.model).fingerprint  # requests in progress keep their model


def test_a_model_that_cannot_be_loaded_does_not_replace_one(folder: Path) -> None:
    """Between the two files of a save, and after damage."""
    source = ModelSource(folder)
    first = _get(source)
    weights, config = (folder / WEIGHTS_FILE).read_bytes(), (folder / CONFIG_FILE).read_bytes()
    _save_changed(folder, 1.0)
    new_config = (folder / CONFIG_FILE).read_bytes()
    (folder / CONFIG_FILE).write_bytes(config)
    with pytest.warns(CharloomWarning, match="SHA-256 does not match.*; the model that was loaded before is served"):
        assert source.get() is first
    assert source.get() is first  # without a second warning
    (folder / CONFIG_FILE).write_bytes(new_config)
    assert _get(source).fingerprint != first.fingerprint
    second = source.get()
    shutil.rmtree(folder)
    assert source.get() is second
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / CONFIG_FILE).write_bytes(config)
    assert _get(source).fingerprint == first.fingerprint


def test_a_run_without_a_model(char_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(CharloomError, match="not a model folder"):
        ModelSource(folder)
    with FolderLock(folder, "a run"):
        source = ModelSource(folder)
    assert source.get() is None
    LanguageModel.load(char_model).save(folder)
    assert _get(source).name == "run"


def test_checkpoints(char_model: Path) -> None:
    (file,) = (char_model / "checkpoints").iterdir()
    source = ModelSource(file)
    step = int(file.stem.removeprefix("step-"))
    assert source.name == name_source(file) == f"model-step-{step}"
    assert source.run is None
    # The last checkpoint of a run without validation has the weights of its model.
    assert _get(source).fingerprint == _get(ModelSource(char_model)).fingerprint


def test_other_paths(char_model: Path, tmp_path: Path) -> None:
    source = ModelSource(Path("english"))
    assert source.get() is source.get()
    assert (source.name, source.run) == ("english", None)
    for path, message in {
        tmp_path / "none": "no such model folder",
        char_model / "config.json": "no checkpoint header",
    }.items():
        with pytest.raises(CharloomError, match=message):
            ModelSource(path)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A response with half of a surrogate pair could not be encoded."""
    assert name_source(tmp_path / "b\udcff") == "b?"
