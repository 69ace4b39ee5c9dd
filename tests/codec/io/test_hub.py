"""Models on the Hub: their names, snapshots and errors, with a local server of the Hub's protocol."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom_codec.errors import ModelFolderError
from charloom_codec.io import hub
from charloom_codec.io.hub import (
    HubName,
    download_snapshot,
    find_repository,
    hub_client,
    is_hub_name,
    is_repository,
    parse_hub_name,
)
from hub_server import Hub, serving_hub, set_endpoint, use_in_this_process

pytest.importorskip("huggingface_hub")
_CONFIG = json.dumps({"format_version": 1}).encode()
_FILES = ["config.json", "model.safetensors"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serves a Hub to the client in this process, with an empty cache."""
    with serving_hub() as found:
        use_in_this_process(found, tmp_path / "cache", monkeypatch)
        yield found


@pytest.mark.parametrize(
    ("name", "repository", "revision"),
    [
        ("hf:me/fox", "me/fox", None),
        (Path("hf:me/fox"), "me/fox", None),
        ("hf:me/Fox_1.5-b@v1.0", "me/Fox_1.5-b", "v1.0"),
        ("hf:a/b@refs/pr/1", "a/b", "refs/pr/1"),
    ],
)
def test_names(name: str | Path, repository: str, revision: str | None) -> None:
    assert parse_hub_name(name) == HubName(repository, revision)


@pytest.mark.parametrize(
    "name",
    [
        *("hf:", "hf:me", "hf:me/", "hf:/fox", "hf:me/fox/more", "hf:me/fox@", "hf:me/fox@-x", "hf:me/fox@a/../b"),
        *(
            "hf:me--a/fox",
            "hf:../fox",
            "hf:me/..",
            "hf:me/a..b",
            "hf:me/fox.git",
            "hf:me/f o x",
            "hf:mé/fox",
            "hf:.a/b",
        ),
        *("hf://me/fox", "hf:me/fox\n", "hf:me/" + "x" * 97, "hf:me/fox\0"),
    ],
)
def test_malformed_names(name: str) -> None:
    with pytest.raises(ModelFolderError, match="a model on the Hub is specified as hf:USER/NAME"):
        parse_hub_name(name)


def test_other_names() -> None:
    assert not any(map(is_hub_name, ("english", "model/hf:a", "./hf:me/fox", "HF:me/fox", "C:/hf/fox", "")))


@given(st.text(st.sampled_from("aZ09_.-/@: é\n"), max_size=12))
def test_accepted_names_are_those_of_the_client(name: str) -> None:
    """A name that is accepted is valid for the client, too, and stays within its cache."""
    from huggingface_hub.utils._validators import validate_repo_id

    if is_repository(name):
        validate_repo_id(name)
        assert name.count("/") == 1
        assert find_repository(Path("cache") / f"models--{name.replace('/', '--')}" / "snapshots" / "1") == name


def test_other_folders_are_no_snapshots() -> None:
    for folder in ("model", "models--a--b", "models--a--b/x/y", "datasets--a--b/snapshots/1", "models--a/snapshots/1"):
        assert find_repository(Path(folder)) is None


def test_only_known_files_are_downloaded(server: Hub) -> None:
    files = {"config.json": _CONFIG, "model.safetensors": b"w", "pytorch_model.bin": b"!", "sub/config.json": b"!"}
    server.add("me/fox", files)
    folder = download_snapshot("hf:me/fox", "config.json", _FILES)
    assert {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == {
        "config.json": _CONFIG,
        "model.safetensors": b"w",
    }
    assert find_repository(folder) == "me/fox"
    assert not [request for request in server.requests if ".bin" in request]


def test_a_name_is_resolved_once_in_a_process(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = server.add("me/fox", {"config.json": _CONFIG, "model.safetensors": b"1"})
    first = download_snapshot("hf:me/fox", "config.json", _FILES)
    server.requests.clear()
    repository.commit({"config.json": _CONFIG, "model.safetensors": b"2"})
    assert download_snapshot(Path("hf:me/fox"), "config.json", _FILES) == first
    assert not server.requests
    monkeypatch.setattr(hub, "_downloaded", {})  # as in the next process
    assert (download_snapshot("hf:me/fox", "config.json", _FILES) / "model.safetensors").read_bytes() == b"2"
    # The first commit by its hash, from the cache.
    server.requests.clear()
    assert download_snapshot(f"hf:me/fox@{first.name}", "config.json", _FILES) == first
    assert not server.requests


def test_models_of_other_programs(server: Hub) -> None:
    """Only the configuration is downloaded: the weights may have gigabytes."""
    for number, config in enumerate((b'{"model_type": "gpt2"}', b"[1]", b"3", b"not JSON", b"[" * 100_000)):
        server.add(f"me/other{number}", {"config.json": config, "model.safetensors": b"w"})
        with pytest.raises(ModelFolderError, match="not a charloom model"):
            download_snapshot(f"hf:me/other{number}", "config.json", _FILES)
    assert not [request for request in server.requests if "model.safetensors" in request]


def test_errors_of_repositories(server: Hub) -> None:
    server.add("me/secret", {"config.json": _CONFIG}, private=True)
    server.add("me/gated", {"config.json": _CONFIG}, gated=True)
    server.add("me/fox", {"config.json": _CONFIG})
    for name, message in {
        "hf:me/none": "no such repository, or a private one; check the name, or log in with 'hf auth login'",
        "hf:me/secret": "no such repository, or a private one; check the name, or log in with 'hf auth login'",
        "hf:me/gated": "access to this repository must be granted by its owner; request access on the page",
        "hf:me/fox@none": "the repository has no such revision; check the name after @",
    }.items():
        with pytest.raises(ModelFolderError) as caught:
            download_snapshot(name, "config.json", _FILES)
        assert str(caught.value).startswith(f"{name}: {message}")


def test_an_interrupted_download_continues(server: Hub) -> None:
    """The client requests the rest of a file by itself, as long as the server answers."""
    weights = bytes(range(256)) * 64
    server.add("me/fox", {"config.json": _CONFIG, "model.safetensors": weights})
    server.cut = 1000
    folder = download_snapshot("hf:me/fox", "config.json", _FILES)
    assert (folder / "model.safetensors").read_bytes() == weights


def test_without_network(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the cache are used; a missing one is an error with the remedy."""
    from huggingface_hub import constants

    server.add("me/fox", {"config.json": _CONFIG, "model.safetensors": b"w"})
    folder = download_snapshot("hf:me/fox", "config.json", _FILES)
    set_endpoint("http://127.0.0.1:9", monkeypatch)
    for _ in range(2):
        monkeypatch.setattr(hub, "_downloaded", {})
        assert download_snapshot("hf:me/fox", "config.json", _FILES) == folder
        with pytest.raises(ModelFolderError, match=r"^hf:me/none: the Hub cannot be reached, and the model is not, or"):
            download_snapshot("hf:me/none", "config.json", _FILES)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    # A snapshot that is not complete.
    monkeypatch.setattr(hub, "_downloaded", {})
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match="not completely, in the cache"):
        download_snapshot("hf:me/fox", "config.json", _FILES)


def test_a_full_disk(server: Hub, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_disk))
    server.add("me/fox", {"config.json": _CONFIG, "model.safetensors": bytes(400_000)})
    with pytest.raises(ModelFolderError) as caught:
        download_snapshot("hf:me/fox", "config.json", _FILES)
    assert str(caught.value) == (
        "hf:me/fox: the files of the Hub cannot be stored (no space left on device); make space, or set HF_HOME to "
        "another folder for the cache"
    )


def test_errors_of_the_client() -> None:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    def answer(status: int) -> HfHubHTTPError:
        return HfHubHTTPError("x", response=httpx2.Response(status, request=httpx2.Request("GET", "http://a")))

    for error, message in {
        answer(403): "the Hub refused access (status 403); log in with",
        answer(500): "the Hub answered with status 500; try again later",
        httpx2.ReadTimeout("slow"): "the connection to the Hub failed (ReadTimeout); try again",
        PermissionError(errno.EACCES, "Permission denied"): "the files of the Hub cannot be stored (permission denied)",
        RuntimeError("broken"): "the Hub's client failed (RuntimeError: broken)",
    }.items():
        with pytest.raises(ModelFolderError) as caught, hub_client("hf:a/b"):
            raise error
        assert str(caught.value).startswith(f"hf:a/b: {message}")
    with pytest.raises(ModelFolderError, match="status 500"), hub_client("hf:a/b"):
        raise RuntimeError("Error while uploading") from answer(500)


def test_the_package_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelFolderError) as caught:
        download_snapshot("hf:me/optional", "config.json", _FILES)
    assert str(caught.value) == (
        "hf:me/optional: models on the Hub require huggingface_hub; install it with pip install 'charloom[hub]', or "
        "without PyTorch 'charloom-codec[hub]'"
    )


def test_the_package_is_imported_only_for_a_name_of_the_hub() -> None:
    code = (
        "import sys, charloom, charloom.cli.app, charloom_codec; from charloom_codec import Codec; "
        "Codec('english').compress(b'It was'); sys.exit('huggingface_hub' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
