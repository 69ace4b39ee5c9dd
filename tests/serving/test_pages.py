"""The pages of the server: their links, their limits, and names that are not those of models."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

from charloom import EpochRecord, LanguageModel
from charloom.io.lock import FolderLock
from charloom.serving.application import Server, make_application
from charloom.serving.sources import ModelSource


def _serve(*folders: Path) -> TestClient:
    server = Server([*map(ModelSource, folders)], max_tokens=500, max_requests=4)
    return TestClient(make_application(server), base_url="http://127.0.0.1:8000")


@pytest.fixture
def folders(char_model: Path, byte_model: Path, tmp_path: Path) -> list[Path]:
    """Returns folders of two models with a run, and of one without."""
    copies = [shutil.copytree(char_model, tmp_path / "chars"), shutil.copytree(byte_model, tmp_path / "b & <i>")]
    LanguageModel.load(char_model).save(tmp_path / "bare")
    return [*copies, tmp_path / "bare"]


def test_links(folders: list[Path]) -> None:
    client = _serve(*folders)
    index = client.get("/").text
    assert '<a href="/models/b%20%26%20%3Ci%3E">b &amp; &lt;i&gt;</a>' in index
    assert '<a href="/runs/chars">training run of chars</a>' in index
    assert '<a href="/compare">Compare</a>' in index
    assert "/runs/bare" not in index
    page = client.get("/models/b%20%26%20%3Ci%3E").text
    assert "<title>b &amp; &lt;i&gt;</title>" in page
    assert '<a href="/runs/b%20%26%20%3Ci%3E">Training run</a>' in page
    assert "/runs/bare" not in client.get("/models/bare").text
    for address in ("/", "/models/chars", "/runs/chars", "/compare"):
        response = client.get(address)
        assert response.headers["x-frame-options"] == "DENY"
        assert f'href="{address}"' not in response.text
        assert address == "/" or '<a href="/">Models</a>' in response.text
    assert "<option>b &amp; &lt;i&gt;</option>" in client.get("/compare").text


def test_one_model(folders: list[Path]) -> None:
    client = _serve(folders[0])
    assert "<title>chars</title>" in client.get("/").text
    assert '<a href="/runs/chars">Training run</a>' in client.get("/").text
    assert "needs two models" in client.get("/compare").json()["error"]["message"]


def test_the_limit_of_characters_is_that_of_the_server(folders: list[Path]) -> None:
    for limit, default in ((20, 20), (70_000, 500)):
        server = Server([*map(ModelSource, folders)], max_tokens=limit, max_requests=4)
        page = TestClient(make_application(server), base_url="http://127.0.0.1:8000").get("/compare").text
        assert f'name="numChars" type="number" min="1" max="{limit}" step="1" value="{default}"' in page


def test_the_prompt_of_the_page(folders: list[Path]) -> None:
    """It is a prefix of the training, or a line of the priming text."""
    assert '"prefix": "the quick brown fox ' in _serve(folders[0]).get("/").text
    assert '"prefix": "A smile curved Lord Henry\\u2019s lips, and he"' in _serve(Path("english")).get("/").text


def test_a_page_gets_the_link_to_a_run_that_starts(folders: list[Path]) -> None:
    client = _serve(folders[2])
    assert "Training run" not in client.get("/").text
    (folders[2] / "history.jsonl").touch()
    assert '<a href="/runs/bare">Training run</a>' in client.get("/").text


def test_a_run_without_a_model(folders: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "new"
    run.mkdir()
    with FolderLock(run, "a run"):
        alone, client = _serve(run), _serve(folders[0], run)
        assert "<title>Training run new</title>" in alone.get("/").text
        assert "new: no model yet" in client.get("/").text
        assert client.get("/compare").status_code == 404
        for response in (
            client.get("/models/new"),
            client.post("/v1/completions", json={"model": "new", "prompt": "a"}),
            client.post("/tokenize", json={"model": "new", "prompt": "a"}),
        ):
            assert response.status_code == 503
            assert "new has no model yet" in response.json()["error"]["message"]
        LanguageModel.load(folders[0]).save(run)
        assert "<title>new</title>" in alone.get("/").text
        assert client.get("/compare").status_code == 200
        assert client.post("/v1/completions", json={"model": "new", "prompt": "the"}).status_code == 200


def test_a_model_that_is_trained_again_gets_a_new_page(folders: list[Path]) -> None:
    client = _serve(folders[2])
    first, again = client.get("/").text, client.get("/").text
    answers = [client.post("/v1/completions", json={"prompt": "the"}).json()["system_fingerprint"]]
    model = LanguageModel.load(folders[2])
    with torch.no_grad():
        model.output.bias.add_(1)
    model.save(folders[2])
    assert first == again != client.get("/").text
    answers.append(client.post("/v1/completions", json={"prompt": "the"}).json()["system_fingerprint"])
    assert answers[0] != answers[1]


def test_the_state_of_a_run(folders: list[Path]) -> None:
    """A browser that has the state gets none; values that JSON has not are no problem."""
    history = folders[0] / "history.jsonl"
    lines = [EpochRecord(1, float("nan"), float("nan"), 1.0, 2.0), EpochRecord(2, float("inf"), 3.0, 1.0, 2.0)]
    history.write_text("".join(line.to_json() + "\n" for line in lines) + "</script>\n")
    client = _serve(*folders)
    first = client.get("/runs/chars/state")
    state = json.loads(first.text, parse_constant=pytest.fail)
    assert state["status"] == "Ended."
    assert state["note"] == "1 line of history.jsonl cannot be read."
    assert "<svg" in state["curves"]
    unchanged = client.get("/runs/chars/state", headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.text) == (304, "")
    history.write_text(lines[0].to_json() + "\n")
    changed = client.get("/runs/chars/state", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.json()["note"] == ""


@pytest.mark.parametrize("address", ["/", "/models/chars", "/compare", "/runs/chars", "/runs/chars/state"])
def test_access(address: str, folders: list[Path]) -> None:
    """All pages need the token, and answer no script of another origin and no other name of the host."""
    server = Server([*map(ModelSource, folders)], max_tokens=500, max_requests=4)
    client = TestClient(make_application(server, token="s3cret"), base_url="http://127.0.0.1:8000")
    allowed = {"authorization": "Bearer s3cret"}
    for headers, status in (
        ({}, 401),
        (allowed, 200),
        (allowed | {"origin": "http://evil.com"}, 403),
        (allowed | {"sec-fetch-site": "cross-site"}, 403),
        (allowed | {"host": "evil.com"}, 421),
    ):
        assert client.get(address, headers=headers).status_code == status


@pytest.mark.parametrize("name", ["none", "bare", "..%2fchars", "%2e%2e", "chars%00", "chars/history.jsonl", "%ff"])
def test_names_that_are_no_runs(name: str, folders: list[Path]) -> None:
    client = _serve(*folders)
    for address in (f"/runs/{name}", f"/runs/{name}/state"):
        assert client.get(address).status_code == 404
