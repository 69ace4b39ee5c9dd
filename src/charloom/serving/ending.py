"""The end of requests that the server cancels when it stops."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class EndCleanly:
    """ASGI middleware that completes the answer of a request that is cancelled.

    Otherwise, the client would get half an answer, and the server would print a traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; if it is cancelled, answers with an error, or ends an answer that was started."""
        is_started = is_complete = False

        async def note(message: Message) -> None:
            nonlocal is_started, is_complete
            is_started = is_started or message["type"] == "http.response.start"
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not is_started:
                error = {"message": "the server is stopping", "type": "server_error"}
                await JSONResponse({"error": error}, 503)(scope, receive, send)
            elif not is_complete:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
