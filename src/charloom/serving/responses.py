"""Responses of the server: pages, and errors, which are pages for a browser and JSON for a program."""

import html
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response

from charloom.export.page_files import fill_page

_PAGE_HEADERS = {"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def answer_page(page: str) -> Response:
    """Returns the response with a page."""
    return HTMLResponse(page, headers=_PAGE_HEADERS)


def answer_error(
    request_headers: Headers,
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    fields: Mapping[str, str | None] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Returns the response to a request that fails: a page if the request accepts HTML, as a browser's navigation does.

    Args:
        request_headers: Headers of the request.
        status: Status code of HTTP.
        message: Description of the error.
        kind: Type of the error in the JSON.
        fields: Further fields of the error in the JSON.
        headers: Further headers of the response.
    """
    message = _replace_surrogates(message)
    varying = {"Vary": "Accept", **(headers or {})}
    if "text/html" not in request_headers.get("accept", "").lower():
        others = {name: value and _replace_surrogates(value) for name, value in (fields or {}).items()}
        error = {"message": message, "type": kind, **others}
        return JSONResponse({"error": error}, status, varying)
    parts = {"status": f"{status} {HTTPStatus(status).phrase}", "message": html.escape(message)}
    return HTMLResponse(fill_page("error.html", parts), status, _PAGE_HEADERS | varying)


def _replace_surrogates(text: str) -> str:
    """Returns a text that UTF-8 can encode: a request in JSON may contain half of a surrogate pair."""
    return text.encode(errors="replace").decode()
