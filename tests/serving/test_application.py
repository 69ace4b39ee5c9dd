"""The application: every route, errors, limits, and requests that take turns."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import charloom
from charloom import LanguageModel, SamplingSettings, Vocabulary, build_model
from charloom.serving.application import Server, make_application
from charloom.serving.sources import ModelSource

_JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def sources(char_model: Path, byte_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ModelSource]:
    folder = tmp_path_factory.mktemp("served")
    named = {"chars": char_model, "bytes & <more>": byte_model}
    return [ModelSource(shutil.copytree(path, folder / name)) for name, path in named.items()]


@pytest.fixture
def client(sources: list[ModelSource]) -> TestClient:
    return _serve(sources)


def _serve(sources: list[ModelSource], **limits: int) -> TestClient:
    server = Server(sources, **({"max_tokens": 500, "max_requests": 4} | limits))
    return TestClient(make_application(server), base_url="http://127.0.0.1:8000")


def _post(client: TestClient, path: str = "/v1/completions", **body: Any) -> Any:
    return client.post(path, json={"model": "chars"} | body)


def test_completions(client: TestClient, sources: list[ModelSource]) -> None:
    body = _post(client, prompt=["the ", "fox "], max_tokens=40, temperature=0.8, seed=3, n=2).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    served = sources[0].get()
    assert served is not None
    assert body["system_fingerprint"] == served.fingerprint
    sampling = SamplingSettings(temperature=0.8, seed=3)
    expected = [
        text[4:]
        for prompt in ("the ", "fox ")
        for text in charloom.generate_samples(served.model, prompt, 40, sampling, num_samples=2)
    ]
    assert [choice["text"] for choice in body["choices"]] == expected
    assert body["usage"] == {"prompt_tokens": 8, "completion_tokens": 160, "total_tokens": 168}
    assert (body["object"], body["model"]) == ("text_completion", "chars")


def test_the_description_follows_a_model_that_is_replaced(client: TestClient, sources: list[ModelSource]) -> None:
    """A request for the model of an old description is refused."""
    path = sources[0].path
    saved = LanguageModel.load(path)
    before = client.get("/v1/models/chars").json()
    build_model(Vocabulary.of_text("the\r\n")).save(path)
    after = client.get("/v1/models/chars").json()
    assert (before["line_end"], after["line_end"]) == ("\n", "\r\n")
    old, new = (f'"{description["system_fingerprint"]}"' for description in (before, after))
    try:
        for tag, status in ((old, 412), ("", 412), (new, 200), (f"{old}, {new}", 200), ("*", 200)):
            headers = {"if-match": tag}
            response = client.post("/v1/completions", json={"model": "chars", "prompt": "the"}, headers=headers)
            assert response.status_code == status
        assert response.json()["system_fingerprint"] == after["system_fingerprint"]
    finally:
        saved.save(path)


def test_streamed_completions(client: TestClient) -> None:
    fields: dict[str, Any] = {"prompt": "the ", "max_tokens": 60, "seed": 1, "logprobs": 1}
    whole = _post(client, **fields).json()["choices"][0]
    response = _post(client, **fields, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, last, rest = response.text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    assert len(choices) > 3
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    assert [p for choice in choices for p in choice["logprobs"]["token_logprobs"]] == pytest.approx(
        whole["logprobs"]["token_logprobs"], abs=1e-4
    )


def test_errors(client: TestClient) -> None:
    for response, status, message in (
        (_post(client, prompt="\u2603"), 400, "not in the model's vocabulary"),
        (_post(client, prompt="\u2603", stream=True), 400, "not in the model's vocabulary"),
        (_post(client, prompt="a", max_tokens=501), 400, "max_tokens must be an integer from 0 to 500"),
        (_post(client, prompt="a", model="none"), 404, "model must be one of chars, bytes & <more>"),
        (_post(client, prompt="a", model=None), 404, "model must be one of"),
        (_post(client, prompt="a", logit_bias={"0": -1}), 400, "0 is <unk>, which is never generated"),
        (_post(client, prompt="a", logit_bias={"99": -1}, stream=True), 400, "99 is not a token id"),
        (_post(client, "/tokenize", prompt=3), 400, "prompt must be a string"),
        (_post(client, "/detokenize", tokens=[-1]), 400, "tokens must be a list of integers"),
        (_post(client, "/detokenize", tokens=[True]), 400, "tokens must be a list of integers"),
        (_post(client, prompt="the " * 50_000, echo=True, logprobs=20, max_tokens=0), 400, "too long for echo"),
        (client.get("/v1/models/none"), 404, "model must be one of"),
        (client.post("/v1/completions", content=b"{"), 415, "Content-Type must be application/json"),
        (client.get("/nowhere"), 404, "Not Found"),
        (client.get("/models/none"), 404, "there is no model none"),
        (client.get("/v1/completions"), 405, "Method Not Allowed"),
    ):
        assert response.status_code == status
        assert message in response.json()["error"]["message"]


def test_errors_of_a_browser(client: TestClient) -> None:
    for path, status, message in (
        ("/models/none", 404, "there is no model none"),
        ("/runs/none", 404, "there is no model none"),
        ("/nowhere", 404, "Not Found"),
        ("/v1/completions", 405, "Method Not Allowed"),
    ):
        response = client.get(path, headers={"accept": "text/html,*/*;q=0.8"})
        assert response.status_code == status
        assert f"<p>{message}</p>" in response.text
        assert client.get(path).json()["error"]["message"] == message
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"{", 400), (b"\xff", 400), (b"[1]", 400), (b"[" * 100_000, 400), (b" " * (17 << 20), 413)],
    ids=["empty", "incomplete", "not text", "a list", "nested", "long"],
)
def test_bodies(content: bytes, status: int, client: TestClient) -> None:
    for path in ("/v1/completions", "/tokenize", "/detokenize"):
        response = client.post(path, content=content, headers={"content-type": "application/json"})
        assert response.status_code == status


def test_tokens(client: TestClient) -> None:
    for model, text in (("chars", "the fox"), ("bytes & <more>", "the é \u2603")):
        ids = _post(client, "/tokenize", prompt=text, model=model, add_special_tokens=False).json()["tokens"]
        assert _post(client, "/detokenize", tokens=ids, model=model).json() == {"prompt": text}
    found = _post(client, "/tokenize", prompt="\u2603the é\u2603").json()
    assert (found["tokens"][0], found["unknown"]) == (0, ["\u2603", "é"])
    assert _post(client, "/tokenize", prompt="\u2603", model="bytes & <more>").json()["unknown"] == []
    half = client.post("/tokenize", content=rb'{"model": "chars", "prompt": "\ud83d"}', headers=_JSON)
    assert half.json()["unknown"] == ["?"]
    assert client.get("/tokenizer_info").json()["eos_token"] in ("\n", " ")


def test_lists(client: TestClient, sources: list[ModelSource]) -> None:
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["chars", "bytes & <more>"]
    chars, others = (client.get(f"/v1/models/{source.name}").json() for source in sources)
    assert (chars["id"], chars["line_end"], others["line_end"]) == ("chars", "\n", None)
    assert client.get("/health").text == "ok\n"
    alone = _serve(sources[:1])
    assert alone.post("/v1/completions", json={"prompt": "the"}).status_code == 200  # no model named
    assert "charloom_generated_tokens_total" in alone.get("/metrics").text


def test_limit_of_requests(sources: list[ModelSource], monkeypatch: pytest.MonkeyPatch) -> None:
    """Further requests are refused while the first is computed, and accepted after it."""
    entered, released = threading.Event(), threading.Event()
    served = sources[0].get()
    assert served is not None
    complete = served.complete

    def wait(*arguments: Any) -> Any:
        entered.set()
        released.wait(60)
        yield from complete(*arguments)

    monkeypatch.setattr(served, "complete", wait)
    client = _serve(sources[:1], max_requests=1)
    with client:
        statuses: list[int] = []
        first = threading.Thread(target=lambda: statuses.append(_post(client, prompt="the").status_code))
        first.start()
        entered.wait(60)
        refused = _post(client, prompt="the")
        assert refused.status_code == 503
        assert "try again later" in refused.json()["error"]["message"]
        assert client.get("/health").status_code == 200
        released.set()
        first.join()
        assert statuses == [200]
        assert _post(client, prompt="the").status_code == 200


def test_many_requests_at_once(sources: list[ModelSource]) -> None:
    """No more than the limit are computed, however many arrive together."""
    client = _serve(sources[:1], max_requests=2, max_tokens=100_000)
    with client:
        statuses: list[int] = []
        fields: dict[str, Any] = {"prompt": "the", "max_tokens": 20_000}
        threads = [
            threading.Thread(target=lambda: statuses.append(_post(client, **fields).status_code)) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, 503}
    assert statuses.count(503) >= 1


def test_stopping_ends_requests_with_an_error(sources: list[ModelSource]) -> None:
    server = Server(sources[:1], max_tokens=500, max_requests=4)
    server.is_stopping = True
    client = TestClient(make_application(server), base_url="http://127.0.0.1:8000")
    for stream in (False, True):
        response = client.post("/v1/completions", json={"prompt": "the", "stream": stream})
        assert response.status_code == 503
        assert response.json()["error"] == {
            "message": "the server is stopping",
            "type": "server_error",
            "param": None,
            "code": None,
        }


def test_half_of_a_surrogate_pair_in_a_name(client: TestClient) -> None:
    body = b'{"model": "chars", "prompt": "the", "\\ud800x": 1}'
    response = client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "?x" in response.json()["error"]["message"]
