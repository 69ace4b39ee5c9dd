"""``charloom serve`` as a process: its address, many clients, hostile requests, and its end."""

import contextlib
import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import charloom
from charloom import LanguageModel, SamplingSettings
from process import call, start

pytest.importorskip("starlette")
_SECONDS = 120


@contextlib.contextmanager
def _serve(folder: Path, *words: object) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Yields the port and the process of a server, which is killed afterwards."""
    process = start(folder, "serve", *map(str, words), "--port", "0", text=True)
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("Serving "), first + process.stderr.read()
        yield int(first.split("/ (")[0].split("/?")[0].rpartition(":")[2].strip("/")), process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def port(char_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with _serve(tmp_path_factory.mktemp("serve"), char_model) as (found, process):
        yield found
        assert process.poll() is None  # it survived


def _post(port: int, **body: Any) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.read())
    connection.close()
    return found


def test_text(port: int, char_model: Path) -> None:
    expected = charloom.generate(LanguageModel.load(char_model), "the ", 50, SamplingSettings(temperature=1.0, seed=4))
    assert _post(port, prompt="the ", max_tokens=50, seed=4, echo=True)["choices"][0]["text"] == expected


def test_fifty_clients_at_once(port: int) -> None:
    """All get their own text, and none waits until another one has ended."""
    expected = {seed: _post(port, prompt="the ", max_tokens=3000, seed=seed)["choices"][0]["text"] for seed in (0, 1)}
    first_parts: list[float] = []
    ends: list[float] = []
    texts: dict[int, str] = {}

    def read(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        body = {"prompt": "the ", "max_tokens": 3000, "seed": number % 2, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        text = ""
        for line in response:
            if line.startswith(b"data: {"):
                if not text:
                    first_parts.append(time.monotonic())
                text += json.loads(line[6:])["choices"][0]["text"]
        ends.append(time.monotonic())
        texts[number] = text
        connection.close()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {number: expected[number % 2] for number in range(50)}
    assert max(first_parts) < max(ends)


def _hostile_requests() -> Iterator[bytes]:
    source = random.Random(1)
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    paths = ["/../../etc/passwd", "//etc/passwd", "/%2e%2e/x"]
    for route in ("models", "runs"):
        paths += [
            f"/{route}/{name}" for name in ("..%2f..%2fetc%2fpasswd", "../../etc/passwd", "%00", "%2fetc%2fpasswd")
        ]
    for path in (*paths, "/runs/../../../etc/passwd/state", "/runs/%2fetc%2fpasswd/state", "/compare/../../etc/passwd"):
        yield f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    yield head + b"Content-Length: 99999999999\r\n\r\n{}"
    yield head + b"Content-Length: -1\r\n\r\n{}"
    yield head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
    yield head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"
    yield head + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"
    yield head + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
    yield head + b"X: " + b"y" * 200_000 + b"\r\n\r\n"
    yield head + b"X\x00: y\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"
    yield b"GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n"
    yield b"CONNECT evil.com:443 HTTP/1.1\r\nHost: evil.com\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the start of TLS
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for _ in range(60):
        yield source.randbytes(source.randrange(1, 2000))
    for _ in range(120):
        broken = bytearray(head + b'Content-Length: 40\r\n\r\n{"prompt": "the fox", "max_tokens": 5}   ')
        for _ in range(source.randrange(1, 6)):
            broken[source.randrange(len(broken))] = source.randrange(256)
        yield bytes(broken)


def test_two_hundred_hostile_requests(port: int) -> None:
    """No request ends the server, and none gets a file."""
    for request in _hostile_requests():
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                answer = b""
                while part := connection.recv(65_536):
                    answer += part
                assert b"root:" not in answer
    assert _post(port, prompt="the ", max_tokens=5)["choices"][0]["text"]


def test_clients_that_leave(port: int) -> None:
    """A request whose client has gone is not computed to its end: the server is soon idle."""
    for stream in (True, False):
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
                body = json.dumps({"prompt": "the ", "max_tokens": 10_000, "n": 100, "stream": stream}).encode()
                head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                if stream:
                    assert connection.recv(100)
    limit = time.monotonic() + _SECONDS
    while "charloom_running_requests 0.0" not in _get_metrics(port):
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_model_that_is_trained_again(char_model: Path, tmp_path: Path) -> None:
    """An answer in progress is that of the old model to its end; the next one is that of the new model."""
    old, new = LanguageModel.load(char_model), LanguageModel.load(char_model)
    with torch.no_grad():
        new.output.bias.add_(torch.linspace(-1, 1, len(new.vocabulary)))
    old.save(tmp_path / "model")
    sampling = SamplingSettings(temperature=1.0, seed=1)
    expected = [charloom.generate(model, "the ", 5000, sampling) for model in (old, new)]
    assert expected[0] != expected[1]
    with _serve(tmp_path, "model") as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        body: dict[str, Any] = {"prompt": "the ", "max_tokens": 5000, "seed": 1, "echo": True}
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body | {"stream": True}), headers)
        response = connection.getresponse()
        lines = [response.readline()]
        new.save(tmp_path / "model")
        answer = _post(port, **body)
        lines += response.readlines()
        connection.close()
        events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
        assert "".join(event["choices"][0]["text"] for event in events) == expected[0]
        assert answer["choices"][0]["text"] == expected[1]
        (fingerprint,) = {event["system_fingerprint"] for event in events}
        assert answer["system_fingerprint"] != fingerprint


def _get_metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    connection.request("GET", "/metrics")
    found = connection.getresponse().read().decode()
    connection.close()
    return found


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_server(number: signal.Signals, status: int, char_model: Path, tmp_path: Path) -> None:
    with _serve(tmp_path, char_model) as (port, process):
        assert _post(port, prompt="the ")["choices"]
        process.send_signal(number)
        assert process.wait(_SECONDS) == status
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_signal_ends_running_requests(char_model: Path, tmp_path: Path) -> None:
    """A long completion, and a request whose body never arrives: the end is quick and clean."""
    with _serve(tmp_path, char_model, "--max-tokens", "1000000") as (port, process):
        head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with (
            socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as long,
            socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as half,
        ):
            body = json.dumps({"prompt": "the ", "max_tokens": 1_000_000, "n": 20, "stream": True}).encode()
            long.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            half.sendall(f"{head}Content-Length: 100\r\n\r\n".encode())
            assert long.recv(100)
            process.send_signal(signal.SIGTERM)
            answer = b""
            while part := long.recv(65_536):
                answer += part
            assert b"the server is stopping" in answer
            assert process.wait(_SECONDS) == 143
            assert b" 503 " in half.recv(65_536)
        assert process.stderr is not None
        assert process.stderr.read() == "charloom: error: stopped\n"


def test_other_addresses_need_a_token(char_model: Path, tmp_path: Path) -> None:
    with _serve(tmp_path, char_model, "--host", "0.0.0.0", "--token", "s3cret", "--allowed-host", "box") as (port, _):
        for headers, status in (
            ({"host": "box"}, 401),
            ({"host": "box", "authorization": "Bearer s3cret"}, 200),
            ({"host": "other", "authorization": "Bearer s3cret"}, 421),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
            connection.request("GET", "/v1/models", headers=headers)
            assert connection.getresponse().status == status
            connection.close()


def test_wrong_calls(char_model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = call(tmp_path, "serve", char_model, "--port", str(port)).error(2)
        assert message.startswith(f"cannot listen on 127.0.0.1:{port}: address already in use; choose another")
    calls: list[tuple[list[str | Path], str]] = [
        ([], "no model: pass the folders of one or more models"),
        ([char_model, "--port", "70000"], "--port is 70000: it must be from 0 to 65535"),
        ([char_model, "--max-tokens", "0"], "--max-tokens is 0"),
        ([char_model, "--token", "a b"], "--token"),
        ([char_model, char_model, "--port", "0"], "two models have the name"),
        ([char_model, "--host", "nowhere.invalid"], "cannot listen on nowhere.invalid:8000"),
    ]
    for words, message in calls:
        assert call(tmp_path, "serve", *words).error(2).startswith(message)
    assert "no such model folder" in call(tmp_path, "serve", "none", "--port", "0").error(1)
    (tmp_path / "step-1.checkpoint").write_bytes(b"none")
    assert "no checkpoint header" in call(tmp_path, "serve", "step-1.checkpoint", "--port", "0").error(1)


def test_the_packages_are_optional(char_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("charloom.serving")]:
        monkeypatch.delitem(sys.modules, module)
    # A submodule that is loaded already would be found without its package.
    for module in ["starlette", *(name for name in sys.modules if name.startswith("starlette."))]:
        monkeypatch.setitem(sys.modules, module, None)
    message = call(tmp_path, "serve", char_model, "--port", "0").error(1)
    assert message == "starlette is not installed; install it with pip install 'charloom[serve]'"
