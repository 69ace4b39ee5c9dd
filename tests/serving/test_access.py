"""Access: other origins, other names of the host, and the token."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from charloom.serving.access import AccessControl


def _client(token: str | None = None, **options: Any) -> TestClient:
    def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    return TestClient(
        AccessControl(app, hosts=["example.org"], token=token), base_url="http://127.0.0.1:8000", **options
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1234"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "[::1]"}, 200),
        ({"host": "EXAMPLE.org"}, 200),
        ({"host": "rebound.example"}, 421),
        ({"host": "127.0.0.1.evil.com"}, 421),
        ({"host": ""}, 421),
        ({"host": "evil.com:8000"}, 421),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": "http://evil.com"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_origins_and_hosts(headers: dict[str, str], status: int) -> None:
    response = _client().get("/x", headers=headers)
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers


def test_a_browser_gets_a_page() -> None:
    response = _client("s3cret").get("/x", headers={"accept": "text/html"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "open the address with ?token=TOKEN" in response.text
    assert "<h1>401 Unauthorized</h1>" in response.text


def test_a_form_of_another_page() -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert _client().post("/x", headers=headers).status_code == 403


def test_token() -> None:
    client = _client("s3cret", follow_redirects=False)
    assert client.get("/x").status_code == 401
    assert client.get("/health").status_code == 200
    for wrong in ("Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "Bearer \xff", "s3cret "):
        assert client.get("/x", headers={b"authorization": wrong.encode("latin-1")}).status_code == 401
    assert client.get("/x", headers={"authorization": "Bearer s3cret"}).status_code == 200
    assert client.get("/x?token=wrong").status_code == 401
    assert client.post("/x?token=s3cret").status_code == 401


@pytest.mark.parametrize("path", ["/", "/a%20b", "//evil.com/x", "/%5Cevil.com", "/models/%0d%0aSet-Cookie:x"])
def test_token_in_the_address_becomes_a_cookie(path: str) -> None:
    client = _client("s3cret", follow_redirects=False)
    response = client.get(f"http://127.0.0.1:8000{path}?token=s3cret")
    assert response.status_code == 303
    target = response.headers["location"]
    assert target.startswith("/")
    assert not target.startswith(("//", "/\\"))
    assert "\r" not in target
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/x").status_code == 200  # the client keeps the cookie
    assert client.get("/x", headers={"cookie": "charloom_token=no; a=\x01"}).status_code in (200, 401)
