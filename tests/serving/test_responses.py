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


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/event-stream"])
def test_a_program_gets_json(accept: str | None) -> None:
    headers = Headers({} if accept is None else {"accept": accept})
    response = answer_error(headers, 503, "busy", kind="server_error", fields={"param": None})
    assert (response.status_code, response.headers["vary"]) == (503, "Accept")
    assert json.loads(bytes(response.body)) == {"error": {"message": "busy", "type": "server_error", "param": None}}
