"""Access to the server: for its own pages and for programs with the token, not for pages of another origin."""

import hmac
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from charloom.serving.responses import answer_error

_COOKIE = "charloom_token"
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class AccessControl:
    """ASGI middleware that refuses requests of other origins, for other hosts, and without the token.

    A page of another origin could otherwise send requests to a server on this machine through the user's browser. The
    name of the host is checked against DNS rebinding: a name of another origin that resolves to this machine.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], token: str | None) -> None:
        """Initializes the middleware.

        Args:
            app: The application.
            hosts: Names and addresses of this server, besides those of the loopback interface.
            token: Token that each request must have, as a bearer token or in a cookie; None for none.
        """
        self._app = app
        self._hosts = _LOCAL | {host.lower() for host in hosts}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with an error."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._check(scope)
        await (refusal or self._app)(scope, receive, send)

    def _check(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if _without_port(host) not in self._hosts:
            message = "this server does not answer for this name: use its address, or --allowed-host"
            return _refuse(headers, 421, message)
        origin = headers.get("origin")
        # A browser sends the origin with every request of a script, and the site with every request.
        is_navigation = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_navigation
        if is_foreign or (origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}")):
            return _refuse(headers, 403, "pages of another origin may not use this server")
        if self._token is None or scope["path"] == "/health":
            return None
        return self._check_token(scope, headers, self._token)

    def _check_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            given = ""
            try:
                cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
            except CookieError:
                cookie = None
            given = cookie.value if cookie else ""
        if _equal(given, token):
            return None
        in_address = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["method"] == "GET" and _equal(in_address, token):
            # The token leaves the address, which histories store.
            # One slash: two, or a backslash, would lead to another host.
            response = RedirectResponse("/" + quote(scope["path"].lstrip("/\\")), 303)
            response.set_cookie(_COOKIE, token, httponly=True, samesite="strict", path="/")
            return response
        remedy = "send the header 'Authorization: Bearer TOKEN', or open the address with ?token=TOKEN"
        return _refuse(headers, 401, f"a token is needed: {remedy}")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _equal(given: str, token: str) -> bool:
    # In constant time: otherwise, the time would reveal how much of a token is right.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _refuse(request_headers: Headers, status: int, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return answer_error(request_headers, status, message, kind="access", headers=headers)
