"""The choice of an engine for a model."""

from pathlib import Path

import pytest

from charloom import InputError, ModelFolderError, WrongModelError
from charloom.codec.engines.native import supported
from charloom.codec.engines.opening import EngineChoice, make_engine, open_engine
from charloom.codec.format.container import Header
from charloom.codec.reference.plain_engine import ReferenceEngine
from fake_engines import ZlibEngine
from native import Switch
from small_engines import MODELS, PRIMINGS


def test_reference_engines_without_native_code(compute_by: Switch) -> None:
    model = MODELS["characters"]
    compute_by("reference")
    fast, mixing = (make_engine(model, priming) for priming in (None, PRIMINGS["primed"]))
    assert isinstance(fast, ReferenceEngine)
    assert isinstance(mixing, ReferenceEngine)
    compute_by("auto")
    if supported():
        for plain in (fast, mixing):
            native = make_engine(model, None if plain is fast else PRIMINGS["primed"])
            assert type(native) is not type(plain)
            assert native.fingerprint == plain.fingerprint
            lengths = [0, 1, 4095, 4096, 1 << 14, 1 << 18, (1 << 20) - 1, 1 << 20, 1 << 24]
            assert [native.choose_num_lanes(n) for n in lengths] == [plain.choose_num_lanes(n) for n in lengths]


def test_an_engine_is_returned_as_given() -> None:
    engine = ZlibEngine("mixing")
    choice = EngineChoice(engine, fast=True)
    assert choice.mode == "mixing"
    assert choice.open_for_compression() is engine
    assert choice.open_for_file(Header("mixing", engine.fingerprint[:8])) is engine
    with pytest.raises(WrongModelError, match="compressed in mode 'fast', but this codec uses mode 'mixing'"):
        choice.open_for_file(Header("fast", engine.fingerprint[:8]))
    with pytest.raises(WrongModelError, match="compressed with a different model, whose fingerprint is 00"):
        choice.open_for_file(Header("mixing", bytes(8)))


def test_invalid_models() -> None:
    with pytest.raises(InputError, match="the model must be a model folder or a LanguageModel, not int"):
        EngineChoice(5)  # type: ignore[arg-type]
    with pytest.raises(WrongModelError, match="compression needs a model"):
        EngineChoice(None).open_for_compression()


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        open_engine(tmp_path / "none", fast=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFolderError, match="not a folder"):
        open_engine(tmp_path / "file", fast=True)
