"""Requests that are cancelled get a complete answer."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from charloom.serving.ending import EndCleanly


async def _cancel(parts: list[Message]) -> list[Message]:
    """Returns what a client gets from an application that sends parts, and is then cancelled."""
    sent: list[Message] = []
    waits = asyncio.Event()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        for part in parts:
            await send(part)
        waits.set()
        await asyncio.Event().wait()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    task = asyncio.ensure_future(EndCleanly(app)({"type": "http"}, receive, send))
    await waits.wait()
    task.cancel()
    await task
    return sent


_START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
_PART: dict[str, Any] = {"type": "http.response.body", "body": b"a", "more_body": True}
_END: dict[str, Any] = {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("parts", [[_START], [_START, _PART], [_START, _PART, _END]])
def test_an_answer_is_completed(parts: list[Message]) -> None:
    sent = asyncio.run(_cancel(parts))
    assert sent[: len(parts)] == parts
    assert sent[-1] == _END
    assert sent.count(_END) == 1


def test_a_request_without_an_answer() -> None:
    start, body = asyncio.run(_cancel([]))
    assert start["status"] == 503
    assert b"the server is stopping" in body["body"]
