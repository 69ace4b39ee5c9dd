"""The files of an upload: what they contain, and what they do not."""

import json
import shutil
from pathlib import Path

import pytest

from charloom import CharloomWarning, Codec, LanguageModel, ModelFolderError, corpus_from, layers
from charloom.hub.upload_files import collect_files, shorten_names
from charloom_codec.model.priming import Priming

_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 20


def _write(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_with_priming(char_model: Path, tmp_path: Path) -> None:
    """The folder's own files: what one of them compresses, the other one decompresses."""
    files = collect_files(char_model, LanguageModel.load(char_model), Priming.load(char_model))
    assert {*files} == {
        *("config.json", "model.safetensors", "codec.safetensors", "priming.safetensors"),
        *("history.jsonl", "history.png"),
    }
    same = ("model.safetensors", "codec.safetensors", "priming.safetensors", "history.jsonl", "history.png")
    assert all(files[name] == (char_model / name).read_bytes() for name in same)
    copy = _write(files, tmp_path / "copy")
    assert Codec(copy).compress(_TEXT) == Codec(char_model).compress(_TEXT)


def test_without_priming(char_model: Path, tmp_path: Path) -> None:
    """The integer model states that there is no priming; the folder decompresses what the copy compresses."""
    files = collect_files(char_model, LanguageModel.load(char_model), Priming())
    assert "priming.safetensors" not in files
    copy = _write(files, tmp_path / "copy")
    compressed = Codec(copy).compress(_TEXT)
    assert len(compressed) > len(Codec(char_model).compress(_TEXT))
    assert Codec(char_model).decompress(compressed) == Codec(copy).decompress(compressed) == _TEXT
    assert Codec(copy, fast=True).compress(_TEXT) == Codec(char_model, fast=True).compress(_TEXT)
    assert LanguageModel.load(copy).provenance == LanguageModel.load(char_model).provenance


def test_a_folder_without_an_integer_model(char_model: Path, tmp_path: Path) -> None:
    """It is created in memory, with the integers that charloom would create in the folder."""
    model = LanguageModel.load(char_model)
    model.save(tmp_path / "bare")
    before = sorted(tmp_path.rglob("*"))
    files = collect_files(tmp_path / "bare", model, Priming())
    assert {*files} == {"config.json", "model.safetensors", "codec.safetensors"}
    assert sorted(tmp_path.rglob("*")) == before
    Codec(tmp_path / "bare").compress(_TEXT)
    assert (tmp_path / "bare" / "codec.safetensors").read_bytes() == files["codec.safetensors"]


def test_models_that_the_codec_does_not_support(tmp_path: Path) -> None:
    vocabulary = corpus_from("a fox").vocabulary
    model = LanguageModel(layers.LSTM(len(vocabulary), 8, proj_size=3), vocabulary)
    model.save(tmp_path / "projected")
    with pytest.warns(CharloomWarning, match="the uploaded model cannot be used for compression: layers with proj"):
        files = collect_files(tmp_path / "projected", model, Priming())
    assert {*files} == {"config.json", "model.safetensors"}


def test_a_priming_of_another_model(char_model: Path, tmp_path: Path) -> None:
    shutil.copytree(char_model, tmp_path / "copy")
    (tmp_path / "copy" / "priming.safetensors").write_bytes(Priming(b"other").to_bytes())
    with pytest.raises(ModelFolderError, match="it does not belong to codec"):
        collect_files(tmp_path / "copy", LanguageModel.load(char_model), Priming.load(tmp_path / "copy"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/me/secret/fox.txt", "fox.txt"),
        ("logs/", "logs"),
        ("C:\\Users\\me\\fox.txt, b/dog.txt", "fox.txt, dog.txt"),
        ("hf:me/corpus:train", "hf:me/corpus:train"),
        ("The Time Machine", "The Time Machine"),
        (3, 3),
    ],
)
def test_names_of_texts_have_no_folders(name: object, shown: object) -> None:
    assert shorten_names({"corpus": {"name": name, "num_chars": 3}, "charloom": "1"}) == {
        "corpus": {"name": shown, "num_chars": 3},
        "charloom": "1",
    }
    assert shorten_names({"corpus": name}) == {"corpus": name}


def test_the_configuration_has_the_shortened_name(char_model: Path, tmp_path: Path) -> None:
    shutil.copytree(char_model, tmp_path / "copy")
    config = json.loads((char_model / "config.json").read_bytes())
    config["provenance"]["corpus"]["name"] = "/home/me/fo\udcffx.txt"
    (tmp_path / "copy" / "config.json").write_bytes(
        json.dumps(config, ensure_ascii=False).encode("utf-8", "backslashreplace")
    )
    files = collect_files(tmp_path / "copy", LanguageModel.load(char_model), Priming())
    uploaded = json.loads(files["config.json"])
    assert uploaded["provenance"]["corpus"]["name"] == "fo\udcffx.txt"
    assert b"/home" not in files["config.json"]
    assert uploaded | {"provenance": 0} == config | {"provenance": 0}
    del config["provenance"]
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config))
    assert (
        json.loads(collect_files(tmp_path / "copy", LanguageModel.load(char_model), Priming())["config.json"]) == config
    )


def test_unreadable_files(char_model: Path, tmp_path: Path) -> None:
    shutil.copytree(char_model, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"model.safetensors: cannot be read \(no such file"):
        collect_files(tmp_path / "copy", LanguageModel.load(char_model), Priming())
