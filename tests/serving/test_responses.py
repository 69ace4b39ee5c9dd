"""Errors: a page for a browser, JSON for a program."""

import json

import pytest
from starlette.datastructures import Headers

from charloom.serving.responses import answer_error, answer_page

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_a_page_cannot_be_framed() -> None:
    assert answer_page("<p>").headers["x-frame-options"] == "DENY"


def test_a_browser_gets_a_page() -> None:
    response = answer_error(Headers({"accept": _BROWSER}), 404, "there is no model <b>", headers={"Allow": "GET"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert (response.headers["vary"], response.headers["x-frame-options"]) == ("Accept", "DENY")
    assert response.headers["allow"] == "GET"
    page = bytes(response.body).decode()
    assert "<h1>404 Not Found</h1>" in page
    assert "<p>there is no model &lt;b&gt;</p>" in page
    assert '<a href="/">' in page


@pytest.mark.parametrize(
    "accept",
    [
        "TEXT/HTML",
        "text/*",
        "text/html, application/json;q=0.9",
        "text/html ; q=0.5 , application/json;q=0.4",
        "text/html;charset=utf-8;q=0.001",
        "text/html, application/xhtml+xml, */*",
        "application/*;q=0, */*",
    ],
)
def test_a_request_that_prefers_html_gets_a_page(accept: str) -> None:
    assert answer_error(Headers({"accept": accept}), 404, "").headers["content-type"] == "text/html; charset=utf-8"


def test_several_headers_are_one() -> None:
    raw = [(b"accept", b"application/json;q=0.5"), (b"accept", b"text/html")]
    assert answer_error(Headers(raw=raw), 404, "").headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "accept",
    [
        *(None, "", "*/*", "application/json", "text/event-stream", "text/html+xml", "text/html;q=0"),
        *("text/html;q=0.000, */*;q=0", "text/html;q=0, text/*", "text/html;q=0.4, application/json;q=0.5"),
        *("text/html;q=0.7, */*", "application/json, text/html", "text/html;q=nan", "text/html;q=2", "text/html;Q=0"),
    ],
)
def test_a_program_gets_json(accept: str | None) -> None:
    headers = Headers({} if accept is None else {"accept": accept})
    response = answer_error(headers, 503, "busy", kind="server_error", fields={"param": None})
    assert (response.status_code, response.headers["vary"]) == (503, "Accept")
    assert json.loads(bytes(response.body)) == {"error": {"message": "busy", "type": "server_error", "param": None}}
