"""Uploads to the Hub, with a local server of its protocol."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import charloom
from charloom import Codec, InputError, LanguageModel, ModelFolderError, SettingsError, push_model
from charloom.hub.upload import prepare_upload
from hub_server import Hub, serving_hub, use_in_this_process

pytest.importorskip("huggingface_hub")
_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 20


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving_hub() as found:
        use_in_this_process(found, tmp_path / "cache", monkeypatch)
        yield found


@pytest.mark.parametrize("uses_lfs", [False, True])
@pytest.mark.parametrize("include_priming", [False, True])
def test_a_model_comes_back(
    include_priming: bool, uses_lfs: bool, char_model: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without its binary protocol for large files, which needs other servers, the client uploads objects of Git LFS.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub.uses_lfs = uses_lfs
    address = push_model(char_model, "me/fox", license="mit", include_priming=include_priming, token=hub.token)
    repository = hub.repositories["me/fox"]
    assert address == f"{hub.url}/me/fox/commit/{repository.branches['main']}"
    assert repository.messages[-1] == "Upload with charloom"
    assert not repository.private
    names = {
        *("config.json", "model.safetensors", "codec.safetensors", "history.jsonl", "history.png", "README.md"),
        *(["priming.safetensors"] if include_priming else []),
    }
    assert {*repository.files} == {".gitattributes", *names}  # no checkpoints
    assert len(hub.objects) == (0 if not uses_lfs else 2 + include_priming)

    model, own = LanguageModel.load("hf:me/fox"), LanguageModel.load(char_model)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), own.parameters(), strict=True))
    assert charloom.generate(model, "the ", 20) == charloom.generate(own, "the ", 20)
    assert charloom.evaluate(model, _TEXT.decode()).perplexity == charloom.evaluate(own, _TEXT.decode()).perplexity
    codec = Codec("hf:me/fox")
    assert (codec.compress(_TEXT) == Codec(char_model).compress(_TEXT)) == include_priming
    assert Codec(char_model).decompress(codec.compress(_TEXT)) == _TEXT


def test_a_second_upload_replaces_all_files(char_model: Path, hub: Hub) -> None:
    """A priming that is no longer uploaded is deleted, and files of others are kept."""
    push_model(char_model, "me/fox", license="mit", include_priming=True, token=hub.token)
    repository = hub.repositories["me/fox"]
    repository.commit({**repository.files, "notes.txt": b"mine"})
    push_model(char_model, "hf:me/fox", license="mit", include_priming=False, message="No text", token=hub.token)
    assert "priming.safetensors" not in repository.files
    assert repository.files["notes.txt"] == b"mine"
    assert repository.messages[-1] == "No text"
    Codec("hf:me/fox").compress(_TEXT)


def test_branches(char_model: Path, hub: Hub) -> None:
    options: dict[str, Any] = {"license": "mit", "include_priming": False, "token": hub.token}
    for _ in range(2):  # a new one, and an existing one
        push_model(char_model, "me/fox", revision="draft", **options)
    assert {*hub.repositories["me/fox"].files} == {".gitattributes"}
    assert LanguageModel.load("hf:me/fox@draft").vocabulary == LanguageModel.load(char_model).vocabulary


def test_private_repositories(char_model: Path, hub: Hub) -> None:
    options: dict[str, Any] = {"license": "mit", "include_priming": True, "private": True, "token": hub.token}
    push_model(char_model, "me/secret", **options)
    assert hub.repositories["me/secret"].private
    public = hub.add("me/public", {})
    with pytest.raises(ModelFolderError, match="hf:me/public: the repository exists and is public; nothing was upl"):
        push_model(char_model, "me/public", **options)
    assert not public.files


def test_errors_of_the_hub(char_model: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFolderError, match=r"^hf:me/fox: the Hub refused access \(status 401\); log in with"):
        push_model(char_model, "me/fox", license="mit", include_priming=False, token="hf_wrong")
    hub.shutdown()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelFolderError, match=r"^hf:me/fox: the Hub cannot be reached"):
        push_model(char_model, "me/fox", license="mit", include_priming=False, token=hub.token)
    hub.repositories["other/fox"] = hub.repositories.setdefault("me/x", hub.add("me/x", {}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"repository": "fox"}, SettingsError, "repository is 'fox': it must be USER/NAME"),
        ({"repository": "a/b@c"}, SettingsError, "repository is 'a/b@c': it must be USER/NAME"),
        ({"license": "MIT\nx: y"}, SettingsError, "license is .*: it must be the identifier of a license"),
        ({"license": ""}, SettingsError, "license is '': it must be the identifier of a license"),
        ({"language": ["english"]}, SettingsError, "language is 'english': it must be the code of a language"),
        ({"language": "en"}, InputError, r"must be a list: language=\['en'\]"),
        ({"include_priming": None}, SettingsError, "include_priming must be True or False: priming.safetensors contai"),
        ({"folder": "english"}, InputError, "english: this model is part of charloom"),
        ({"folder": "none"}, ModelFolderError, "none: no such model folder"),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], error: type[Exception], message: str, char_model: Path) -> None:
    given: dict[str, Any] = {
        "folder": char_model,
        "repository": "me/fox",
        "license": "mit",
        "include_priming": False,
        **changes,
    }
    with pytest.raises(error, match=message):
        prepare_upload(given.pop("folder"), given.pop("repository"), **given)


@pytest.mark.parametrize("name", ["include_priming", "private", "revision", "message", "token"])
def test_arguments_of_other_types(name: str, char_model: Path) -> None:
    with pytest.raises(InputError, match=f"{name} is of type int"):
        push_model(char_model, "me/fox", license="mit", **{"include_priming": True, name: 3})  # type: ignore[arg-type]


def test_only_complete_language_models_are_uploaded(char_model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(char_model, copy)
    (copy / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelFolderError, match="is damaged"):
        prepare_upload(copy, "me/fox", license="mit", include_priming=False)
    (copy / "config.json").write_text('{"format_version": 1, "kind": "forecaster"}')
    with pytest.raises(ModelFolderError, match="a forecaster; only language models can be uploaded"):
        prepare_upload(copy, "me/fox", license="mit", include_priming=False)


def test_a_snapshot_without_an_integer_model(char_model: Path, hub: Hub) -> None:
    """Nothing is written into the cache of the client."""
    names = ("config.json", "model.safetensors")
    hub.add("me/bare", {name: (char_model / name).read_bytes() for name in names})
    assert LanguageModel.load("hf:me/bare")
    with pytest.raises(ModelFolderError) as caught:
        Codec("hf:me/bare").compress(_TEXT)
    assert str(caught.value) == (
        "hf:me/bare: the repository has no codec.safetensors, which compression needs; copy its files to a folder of "
        "your own, as 'hf download' does, and pass this folder"
    )
