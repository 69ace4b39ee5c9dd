"""Responses of the server: pages, and errors, which are pages for a browser and JSON for a program."""

import html
import re
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response

from charloom.export.page_files import fill_page

_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
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
    """Returns the response to a request that fails: a page if the request prefers HTML, as a browser's navigation does.

    Args:
        request_headers: Headers of the request.
        status: Status code of HTTP.
        message: Description of the error.
        kind: Type of the error in the JSON.
        fields: Further fields of the error in the JSON.
        headers: Further headers of the response.
    """
    message = replace_surrogates(message)
    varying = {"Vary": "Accept", **(headers or {})}
    if not _prefers_html(",".join(request_headers.getlist("accept"))):
        others = {name: value and replace_surrogates(value) for name, value in (fields or {}).items()}
        error = {"message": message, "type": kind, **others}
        return JSONResponse({"error": error}, status, varying)
    parts = {"status": f"{status} {HTTPStatus(status).phrase}", "message": html.escape(message)}
    return HTMLResponse(fill_page("error.html", parts), status, _PAGE_HEADERS | varying)


def _prefers_html(accept: str) -> bool:
    """Returns True if a request accepts HTML with a higher weight than JSON, or as well but by a more specific range.

    Args:
        accept: Value of the header Accept: media ranges and their weights (RFC 9110, section 12.5.1).
    """
    html_range, json_range = (_find_range(accept, media_type) for media_type in ("text/html", "application/json"))
    return html_range > json_range and html_range[0] > 0


def _find_range(accept: str, media_type: str) -> tuple[float, int]:
    """Returns the weight of a media type, and how specific the range is that it matches, from 3 to 0 for none."""
    ranges = ("*/*", f"{media_type.partition('/')[0]}/*", media_type)
    found = {0: 0.0}
    for one in accept.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        weights = [value for key, _, value in (part.partition("=") for part in parameters) if key == "q"]
        # A range with an invalid weight is ignored.
        if name in ranges and all(map(_WEIGHT.fullmatch, weights)):
            found[ranges.index(name) + 1] = float(weights[0]) if weights else 1.0
    # The most specific range is the one that applies, also if its weight is lower.
    specificity = max(found)
    return found[specificity], specificity


def replace_surrogates(text: str) -> str:
    """Returns a text that UTF-8 can encode: a request in JSON may contain half of a surrogate pair."""
    return text.encode(errors="replace").decode()
