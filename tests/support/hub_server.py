"""A small server of the Hub's protocol, as far as its client calls it: repositories with commits, in memory."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest


@dataclass
class Repository:
    """Commits by hash, each a dict of files; branches; and the access to them."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], branch: str = "main", message: str = "") -> str:
        """Adds a commit to a branch, and returns its hash."""
        self.messages.append(message)
        sha = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        """Files of the main branch."""
        return self.commits[self.branches["main"]]


class Hub(ThreadingHTTPServer):
    """The server. ``requests`` are the methods and paths so far.

    Attributes:
        repositories: Repositories by name.
        token: Token that private repositories and uploads require.
        cut: Number of bytes after which the next download is interrupted; None for no interruption.
        uses_lfs: True to request that safetensors are uploaded as objects of Git LFS.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.token = "hf_secret"
        self.cut: int | None = None
        self.uses_lfs = False
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False, gated: bool = False) -> Repository:
        """Creates a repository with one commit."""
        found = self.repositories[name] = Repository(private, gated)
        found.commit(files)
        return found


@contextlib.contextmanager
def serving_hub() -> Iterator[Hub]:
    """Serves a Hub without repositories in a thread."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def use_in_this_process(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the client in this process use the Hub and a cache; without a token, and with no snapshots known."""
    from huggingface_hub import constants

    set_endpoint(hub.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr("charloom_codec.io.hub._downloaded", {})
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def set_endpoint(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the address that the client reads from HF_ENDPOINT when it is imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)


class _RefusedError(Exception):
    """A request that is answered with an error: status, code of the Hub."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self._body = self._read_body()
        path = unquote(urlsplit(self.path).path)
        try:
            for method, pattern, function in _ROUTES:
                if method == self.command and (found := re.fullmatch(pattern, path)):
                    function(self, *found.groups())
                    return
            raise _RefusedError(404, "")
        except _RefusedError as refused:
            self._answer({"error": refused.args[1]}, refused.args[0], {"X-Error-Code": refused.args[1]})

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            cut, self.server.cut = (
                (self.server.cut, None) if len(data) > (self.server.cut or len(data)) else (None, None)
            )
            self.wfile.write(data[:cut])
            if cut is not None:
                self.close_connection = True

    @property
    def _knows_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server.token}"

    def _find(self, name: str) -> Repository:
        found = self.server.repositories.get(name)
        if found is None or (found.private and not self._knows_token):
            raise _RefusedError(404 if self._knows_token else 401, "RepoNotFound")
        return found

    def _find_commit(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        repository = self._find(name)
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            raise _RefusedError(404, "RevisionNotFound")
        return sha, repository.commits[sha]

    def get_info(self, name: str, revision: str | None = None) -> None:
        sha, files = self._find_commit(name, revision or "main")
        siblings = [{"rfilename": file} for file in files]
        self._answer(
            {
                "id": name,
                "sha": sha,
                "private": self._find(name).private,
                "siblings": siblings,
                "tags": [],
                "gated": False,
            }
        )

    def get_tree(self, name: str, revision: str) -> None:
        _, files = self._find_commit(name, revision)
        if self._find(name).gated:
            raise _RefusedError(403, "GatedRepo")
        self._answer(
            [{"type": "file", "path": p, "size": len(d), "oid": hashlib.sha1(d).hexdigest()} for p, d in files.items()]
        )

    def get_file(self, name: str, revision: str, file: str) -> None:
        sha, files = self._find_commit(name, revision)
        if self._find(name).gated:
            raise _RefusedError(403, "GatedRepo")
        if file not in files:
            raise _RefusedError(404, "EntryNotFound")
        headers = {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha1(files[file]).hexdigest()}"', "Accept-Ranges": "bytes"}
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(files[file]) - 1}/{len(files[file])}"
        self._answer(files[file][start:], 206 if start else 200, headers)

    def create(self) -> None:
        if not self._knows_token:
            raise _RefusedError(401, "")
        values = json.loads(self._body)
        name = f"{values.get('organization') or 'me'}/{values['name']}"
        if name in self.server.repositories:
            self._answer({"error": "exists", "url": f"{self.server.url}/{name}", "name": name}, 409)
            return
        self.server.add(name, {".gitattributes": b""}, private=values.get("visibility") == "private")
        self._answer({"url": f"{self.server.url}/{name}", "name": name})

    def create_branch(self, name: str, branch: str) -> None:
        repository = self._find(name)
        if branch in repository.branches:
            raise _RefusedError(409, "")
        repository.branches[branch] = repository.branches["main"]
        self._answer({})

    def validate(self) -> None:
        self._answer({"errors": [], "warnings": []})

    def prepare(self, name: str, revision: str) -> None:
        self._find_commit(name, revision)
        files = [file["path"] for file in json.loads(self._body)["files"]]
        modes = {file: "lfs" if self.server.uses_lfs and file.endswith(".safetensors") else "regular" for file in files}
        self._answer({"files": [{"path": f, "uploadMode": modes[f], "shouldIgnore": False} for f in files]})

    def list_objects(self, name: str) -> None:
        self._find(name)
        objects = json.loads(self._body)["objects"]
        for entry in objects:
            entry["actions"] = {"upload": {"href": f"{self.server.url}/objects/{entry['oid']}"}}
        self._answer({"transfer": "basic", "objects": objects}, headers={"Content-Type": "application/json"})

    def put_object(self, oid: str) -> None:
        assert hashlib.sha256(self._body).hexdigest() == oid
        self.server.objects[oid] = self._body
        self._answer({})

    def commit(self, name: str, branch: str) -> None:
        if not self._knows_token:
            raise _RefusedError(403, "")
        _, files = self._find_commit(name, branch)
        files, summary = dict(files), ""
        for line in self._body.splitlines():
            kind, value = (json.loads(line)[key] for key in ("key", "value"))
            if kind == "header":
                summary = value["summary"]
            elif kind == "deletedFile":
                del files[value["path"]]
            else:
                content = self.server.objects[value["oid"]] if kind == "lfsFile" else base64.b64decode(value["content"])
                files[value["path"]] = content
        sha = self._find(name).commit(files, branch, summary)
        self._answer({"commitUrl": f"{self.server.url}/{name}/commit/{sha}", "commitOid": sha})


_NAME = "([^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", f"/api/models/{_NAME}", _Handler.get_info),
    ("GET", f"/api/models/{_NAME}/revision/(.+)", _Handler.get_info),
    ("GET", f"/api/models/{_NAME}/tree/(.+)", _Handler.get_tree),
    ("GET", f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.get_file),
    ("HEAD", f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.get_file),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("POST", f"/api/models/{_NAME}/branch/(.+)", _Handler.create_branch),
    ("POST", f"/api/models/{_NAME}/preupload/(.+)", _Handler.prepare),
    ("POST", f"/api/models/{_NAME}/commit/(.+)", _Handler.commit),
    ("POST", f"/{_NAME}\\.git/info/lfs/objects/batch", _Handler.list_objects),
    ("PUT", "/objects/(.+)", _Handler.put_object),
]
