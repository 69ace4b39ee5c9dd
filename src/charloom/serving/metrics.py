"""Metrics of the server in the format of Prometheus."""

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATHS = {
    *(
        "/",
        "/compare",
        "/v1/completions",
        "/v1/models",
        "/tokenize",
        "/detokenize",
        "/tokenizer_info",
        "/health",
        "/metrics",
    ),
}
"""Paths that have a label of their own: any other would let a client create labels without end."""


class Metrics:
    """Counters of requests, tokens and times, of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "charloom_requests", "Requests by path and status.", ["path", "status"], registry=self._registry
        )
        self._tokens = Counter("charloom_generated_tokens", "Generated tokens.", ["model"], registry=self._registry)
        self._completions = Histogram(
            "charloom_completion_seconds",
            "Time of a request for completions.",
            ["model"],
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self._registry,
        )
        self._running = Gauge("charloom_running_requests", "Completions in progress.", registry=self._registry)
        self._started = Gauge("charloom_start_time_seconds", "Start of the server.", registry=self._registry)
        self._started.set(time.time())

    def add_tokens(self, model: str, count: int) -> None:
        """Counts generated tokens."""
        self._tokens.labels(model).inc(count)

    def add_completion(self, model: str, seconds: float) -> None:
        """Counts a request for completions."""
        self._completions.labels(model).observe(seconds)

    def render(self, running: int) -> tuple[bytes, str]:
        """Returns the metrics and their content type."""
        self._running.set(running)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Returns an application that counts the requests of another one."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            path = scope["path"] if scope["path"] in _PATHS else "other"

            async def send_counted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._requests.labels(path, message["status"]).inc()
                await send(message)

            await app(scope, receive, send_counted)

        return count
