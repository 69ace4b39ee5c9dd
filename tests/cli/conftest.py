"""Fixtures of the tests of ``compress`` and ``decompress``."""

from pathlib import Path

import pytest

from charloom.errors import ModelFolderError
from charloom_codec.engines.engine import Engine
from fake_engines import ZlibEngine


@pytest.fixture
def text_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text and the folders of two models; a fake engine that uses only their names."""

    def open_engine(model: Path, *, fast: bool, **_: object) -> Engine:
        if not model.is_dir():
            raise ModelFolderError(f"{model}: no such model folder")
        return ZlibEngine("fast" if fast else "mixing", start=model.name.encode())

    monkeypatch.setattr("charloom_codec.format.opening.open_engine", open_engine)
    for folder in ("model", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a.txt").write_bytes(b"it was the best of times, it was the worst of times\n" * 40)
    return tmp_path
