"""The folders of models that have names: of the package, by name and by version, and of the Hub."""

from pathlib import Path

import pytest

from charloom_codec.named_models import finding
from charloom_codec.named_models.finding import find_all_names, find_folder


def test_names_and_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "NAMED_MODELS", {"english": ("english-2", "english-1"), "french": ("french-1",)})
    monkeypatch.chdir(tmp_path)
    assert find_all_names() == ["english-2", "english-1", "french-1"]
    assert find_folder("english", tmp_path) == tmp_path / "english-2"
    assert find_folder(Path("english-1"), tmp_path) == tmp_path / "english-1"
    assert find_folder("french", tmp_path) == tmp_path / "french-1"


@pytest.mark.parametrize("name", ["./english", "english/", "models/english", "English", "other", "english-3", ""])
def test_other_paths_are_folders(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # pathlib drops the dot and the slash, so that only a str can state a folder of the same name that is missing.
    assert find_folder(name) == Path(name)


def test_an_existing_model_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "english").mkdir()
    assert find_folder("english") == find_folder("english-1")  # texts, not a model
    (tmp_path / "english" / "config.json").touch()
    assert find_folder("english") == Path("english")


def test_models_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are downloaded by the names of charloom's files, unless a model folder has that path."""
    asked: list[tuple[str | Path, str, tuple[str, ...]]] = []

    def download(model: str | Path, config: str, files: tuple[str, ...]) -> Path:
        asked.append((model, config, files))
        return tmp_path / "snapshot"

    monkeypatch.setattr(finding, "download_snapshot", download)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "hf:me" / "fox"
    folder.mkdir(parents=True)
    (folder / "a.txt").touch()  # texts, not a model
    for model in ("hf:me/fox", Path("hf:me/fox@v1")):
        assert find_folder(model) == find_folder(model, tmp_path) == tmp_path / "snapshot"
        assert asked.pop() == asked.pop() == (model, "config.json", finding.HUB_FILES)
    (folder / "codec.safetensors").touch()
    assert find_folder("hf:me/fox") == Path("hf:me/fox")
    assert find_folder("./hf:me/other") == Path("hf:me/other")
    assert not asked
