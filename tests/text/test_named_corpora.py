import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import platformdirs
import pytest

from charloom import CorpusUnavailableError
from charloom.text.named_corpora import NAMED_CORPORA, PYTHON_REFERENCE, NamedCorpus, read_named_corpus

_CONTENT = b"The one and only text.\n"
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


class _Server:
    """A web server on this machine: its contents by path, and the paths that were requested."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        files, asked = self.files, self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                content = files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.stop()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of this test alone. No data directory is set, and the local server is used without a proxy."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(folder / name))
    monkeypatch.delenv("CHARLOOM_DATA", raising=False)
    for variable in ["NO_PROXY", "no_proxy"]:
        monkeypatch.setenv(variable, "127.0.0.1")
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """The data directory, empty."""
    del cache
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CHARLOOM_DATA", str(folder))
    return folder


def _set_homes(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    """Makes "one" a named corpus with these sources."""
    monkeypatch.setitem(NAMED_CORPORA, "one", NamedCorpus("one.txt", _SHA256, urls))


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_data_directory_comes_first(
    data: Path, cache: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_homes(monkeypatch, server.url("/one"))
    (data / "one.txt").write_bytes(_CONTENT)
    assert read_named_corpus("one") == _CONTENT
    assert server.asked == []
    assert _files_below(cache) == []


def test_a_corpus_outside_the_data_directory_is_downloaded(
    data: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_homes(monkeypatch, server.url("/one"))
    server.files["/one"] = _CONTENT
    (data / "another.txt").write_bytes(_CONTENT)
    assert read_named_corpus("one") == _CONTENT
    assert server.asked == ["/one"]


def test_a_wrong_file_in_the_data_directory_is_not_used(
    data: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_homes(monkeypatch, server.url("/one"))
    server.files["/one"] = _CONTENT
    (data / "one.txt").write_bytes(b"another text")
    assert read_named_corpus("one") == _CONTENT
    assert (data / "one.txt").read_bytes() == b"another text"


def test_a_wrong_file_in_the_data_directory_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_homes(monkeypatch)
    (data / "one.txt").write_bytes(b"another text")
    with pytest.raises(CorpusUnavailableError) as caught:
        read_named_corpus("one")
    assert f"{data / 'one.txt'} has different content" in str(caught.value)


def test_a_download_is_cached(cache: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_homes(monkeypatch, server.url("/one"))
    server.files["/one"] = _CONTENT
    assert read_named_corpus("one") == _CONTENT
    assert [file.read_bytes() for file in _files_below(cache)] == [_CONTENT]
    server.stop()
    assert read_named_corpus("one") == _CONTENT
    assert server.asked == ["/one"]


def test_a_damaged_copy_in_the_cache_is_replaced(cache: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_homes(monkeypatch, server.url("/one"))
    server.files["/one"] = _CONTENT
    read_named_corpus("one")
    (copy,) = _files_below(cache)
    copy.write_bytes(_CONTENT[:-5])
    assert read_named_corpus("one") == _CONTENT
    assert copy.read_bytes() == _CONTENT


def test_a_download_of_another_text_is_refused_and_not_cached(
    cache: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_homes(monkeypatch, server.url("/one"))
    server.files["/one"] = b"<html>Please log in.</html>"
    with pytest.raises(CorpusUnavailableError, match=r"/one: .*hash"):
        read_named_corpus("one")
    assert _files_below(cache) == []
    server.files["/one"] = _CONTENT
    assert read_named_corpus("one") == _CONTENT


def test_sources_are_tried_in_order(cache: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    del cache
    _set_homes(monkeypatch, *[server.url(path) for path in ["/gone", "/wrong", "/good", "/more"]])
    server.files.update({"/wrong": b"another text", "/good": _CONTENT, "/more": _CONTENT})
    assert read_named_corpus("one") == _CONTENT
    assert server.asked == ["/gone", "/wrong", "/good"]


def test_without_network_the_attempts_and_the_advice_are_named(
    data: Path, cache: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [server.url("/one"), server.url("/two")]
    _set_homes(monkeypatch, *urls)
    server.stop()
    with pytest.raises(CorpusUnavailableError) as caught:
        read_named_corpus("one")
    message = str(caught.value)
    assert f"{data / 'one.txt'} is missing or unreadable" in message
    assert all(f"{url}: no connection" in message for url in urls)
    assert "'one'" in message
    assert "put one.txt into a folder and set CHARLOOM_DATA to that folder" in message
    assert "\n" not in message
    assert _files_below(cache) == []


def test_the_reference_text_of_python_needs_no_download() -> None:
    text = read_named_corpus(PYTHON_REFERENCE).decode()
    assert len(text) > 100_000
    assert 'The "if" statement' in text


def test_every_named_corpus_has_sources_and_hashes() -> None:
    for corpus in NAMED_CORPORA.values():
        assert len(bytes.fromhex(corpus.sha256)) == 32
        assert corpus.urls
        assert all(url.startswith("https://") for url in corpus.urls)
    assert len({corpus.file_name for corpus in NAMED_CORPORA.values()}) == len(NAMED_CORPORA)


def test_the_texts_of_the_data_directory_have_their_hashes(
    corpora: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes are those of the real files; the textbook names its own by sha1."""
    del cache
    monkeypatch.setenv("CHARLOOM_DATA", str(corpora))
    data = read_named_corpus("time-machine")
    assert hashlib.sha1(data).hexdigest() == "090b5e7e70c295757f55df93cb0a180b9691891a"
    if (corpora / "tinyshakespeare.txt").exists():
        assert len(read_named_corpus("tiny-shakespeare")) == 1_115_394
