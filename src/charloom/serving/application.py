"""The server's application: OpenAI's completions, models, tokens, health, metrics, and the pages."""

import json
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from charloom.errors import CharloomError
from charloom.serving.access import AccessControl
from charloom.serving.answers import Answer, CollectedChoice
from charloom.serving.completions import Part, ServedModel
from charloom.serving.ending import EndCleanly
from charloom.serving.metrics import Metrics
from charloom.serving.pages import Pages
from charloom.serving.requests import ApiError, CompletionRequest, read_completion_request
from charloom.serving.responses import answer_error, replace_surrogates
from charloom.serving.sources import ModelSource

_MAX_BODY = 16 << 20
_BODY_SECONDS = 30.0
"""Time in which a client must send its request."""
_MAX_SCORES = 3_000_000
"""Maximum number of log probabilities of prompts in an answer: each takes some hundred bytes of memory."""
_THREADS = 2
"""Threads that compute. Requests take turns in them, a chunk of tokens each."""
Result = TypeVar("Result")


class Server:
    """The models, and the answers to requests.

    Attributes:
        sources: Sources of the models, by name.
        metrics: Counters of the requests.
        max_tokens: Maximum number of tokens to generate for a prompt.
        is_stopping: True to end running requests with an error.
    """

    def __init__(self, sources: Sequence[ModelSource], *, max_tokens: int, max_requests: int) -> None:
        """Initializes the server.

        Args:
            sources: Sources of models with different names.
            max_tokens: Maximum number of tokens to generate for a prompt.
            max_requests: Maximum number of requests that are computed at the same time: further ones are refused.
        """
        self.sources = {source.name: source for source in sources}
        self.metrics = Metrics()
        self.max_tokens = max_tokens
        self._max_requests = max_requests
        self.is_stopping = False
        self._running = 0
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._started = int(time.time())

    async def compute(self, function: Callable[[], Result]) -> Result:
        """Runs a function in one of the threads that compute."""
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)

    async def complete(self, request: Request) -> Response:
        """Answers ``POST /v1/completions``."""
        wanted = read_completion_request(await _read_json(request), self.max_tokens)
        served = await self._load(wanted.model)
        wanted_tags = {tag.strip() for tag in ",".join(request.headers.getlist("if-match") or ["*"]).split(",")}
        if not wanted_tags & {"*", f'"{served.fingerprint}"'}:
            raise ApiError("the model is not that of If-Match: read its description again", status=412)
        served.check_bias(wanted.bias)
        prompts = [await self.compute(partial(served.encode, prompt, wanted)) for prompt in wanted.prompts]
        num_prompt_tokens = sum(map(len, prompts))
        if wanted.echo and num_prompt_tokens * ((wanted.num_logprobs or 0) + 1) * wanted.num_choices > _MAX_SCORES:
            raise ApiError(f"too long for echo: prompt tokens x (logprobs + 1) x n may be at most {_MAX_SCORES:,}")
        answer = Answer(served.name, served.fingerprint, num_prompt_tokens)
        # Without an await between the check and the count: many requests may arrive at once.
        if self._running >= self._max_requests:
            raise ApiError("the server is busy: try again later", status=503)
        self._running += 1
        parts = self._complete_prompts(served, wanted, prompts)
        if not wanted.stream:
            choices: dict[int, CollectedChoice] = {}
            async for part in parts:
                choices.setdefault(part.index, CollectedChoice()).add(part)
                if await request.is_disconnected():
                    await parts.aclose()
                    raise ClientDisconnect
            return JSONResponse(answer.make_whole(choices, wanted))
        # The first part is computed before the headers are sent, so that an error still has its status.
        first = await anext(parts)
        return StreamingResponse(answer.stream(first, parts, wanted), media_type="text/event-stream")

    async def _complete_prompts(
        self, served: ServedModel, wanted: CompletionRequest, prompts: Sequence[list[int]]
    ) -> AsyncGenerator[Part]:
        """Yields the parts of all choices, computed chunk by chunk, so that requests take turns.

        The caller has counted the request as running, and takes the first part.
        """
        started = time.perf_counter()
        try:
            for number, ids in enumerate(prompts):
                parts: Iterator[Part] = served.complete(wanted, ids, number * wanted.num_choices)
                while (part := await self.compute(partial(next, parts, None))) is not None:
                    if self.is_stopping:
                        raise ApiError("the server is stopping", status=503)
                    self.metrics.add_tokens(served.name, part.num_tokens)
                    yield part
        finally:
            self._running -= 1
            self.metrics.add_completion(served.name, time.perf_counter() - started)

    async def list_models(self, _: Request) -> Response:
        """Answers ``GET /v1/models``."""
        return JSONResponse({"object": "list", "data": [await self._describe(name) for name in self.sources]})

    async def describe_model(self, request: Request) -> Response:
        """Answers ``GET /v1/models/NAME``."""
        return JSONResponse(await self._describe(self._find(request.path_params["name"]).name))

    async def _describe(self, name: str) -> dict[str, Any]:
        served = await self.compute(self.sources[name].get)
        return {
            "id": name,
            "object": "model",
            "created": self._started,
            "owned_by": "charloom",
            # None without a model: the training run saves it at the end.
            "system_fingerprint": served and served.fingerprint,
            "line_end": served and served.line_end,
        }

    async def tokenize(self, request: Request) -> Response:
        """Answers ``POST /tokenize``: characters that are out of vocabulary become ``<unk>``, and are listed."""
        body = await _read_json(request)
        served, prompt = await self._load(body.get("model")), body.get("prompt")
        if not isinstance(prompt, str):
            raise ApiError("prompt must be a string", field="prompt")
        vocabulary = served.model.vocabulary
        ids = (await self.compute(lambda: vocabulary.encode(prompt, "unk"))).tolist()
        unknown = list(map(replace_surrogates, await self.compute(lambda: vocabulary.find_unknown(prompt))))
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": None, "unknown": unknown})

    async def detokenize(self, request: Request) -> Response:
        """Answers ``POST /detokenize``."""
        body = await _read_json(request)
        vocabulary, ids = (await self._load(body.get("model"))).model.vocabulary, body.get("tokens")
        if not isinstance(ids, list) or not all(type(one) is int and 0 <= one < len(vocabulary) for one in ids):
            raise ApiError(f"tokens must be a list of integers from 0 to {len(vocabulary) - 1}", field="tokens")
        text = vocabulary.decode(ids)
        return JSONResponse({"prompt": text if isinstance(text, str) else text.decode("utf-8", "replace")})

    async def describe_tokenizer(self, _: Request) -> Response:
        """Answers ``GET /tokenizer_info``, as vLLM does: the line feed, if there is one, precedes a text."""
        vocabulary = (await self._load(next(iter(self.sources)))).model.vocabulary
        first = "\n" if vocabulary.unit == "byte" or "\n" in vocabulary.tokens else " "
        return JSONResponse({"eos_token": first, "bos_token": first, "pad_token": None, "chat_template": None})

    async def show_metrics(self, _: Request) -> Response:
        """Answers ``GET /metrics`` in the format of Prometheus."""
        content, media_type = self.metrics.render(self._running)
        return Response(content, media_type=media_type)

    async def _load(self, name: object) -> ServedModel:
        """Returns the present model of a name. Raises ApiError if there is none."""
        source = self._find(name)
        served = await self.compute(source.get)
        if served is None:
            raise ApiError(f"{source.name} has no model yet: its training run saves it at the end", status=503)
        return served

    def _find(self, name: object) -> ModelSource:
        if name is None and len(self.sources) == 1:
            return next(iter(self.sources.values()))
        if not isinstance(name, str) or name not in self.sources:
            raise ApiError(f"model must be one of {', '.join(self.sources)}", status=404, field="model")
        return self.sources[name]


async def _read_json(request: Request) -> Any:
    """Returns the JSON object of a request's body. Raises ApiError if there is none within the limits."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A form of another page could send other types without a question of the browser.
        raise ApiError("the header Content-Type must be application/json", status=415)
    data = bytearray()
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > _MAX_BODY:
                    raise ApiError(f"the body may have at most {_MAX_BODY >> 20} MiB", status=413)
    except TimeoutError:
        raise ApiError("the body was not sent in time", status=408) from None
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise ApiError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ApiError("the body must be a JSON object")
    return body


async def _answer_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    fields = {"param": error.field, "code": None}
    return answer_error(request.headers, error.status, error.message, kind=kind, fields=fields)


async def _answer_model_error(request: Request, error: Exception) -> Response:
    return answer_error(request.headers, 500, str(error), kind="server_error")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer_error(request.headers, error.status_code, error.detail, headers=error.headers)


async def _answer_disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


def make_application(server: Server, *, hosts: Collection[str] = (), token: str | None = None) -> Starlette:
    """Returns the ASGI application.

    Args:
        server: The models and their answers.
        hosts: Names and addresses of the server, besides those of the loopback interface.
        token: Token that requests must have; None for none.
    """
    routes = [
        *Pages(server.sources, server.compute, server.max_tokens).make_routes(),
        Route("/v1/completions", server.complete, methods=["POST"]),
        Route("/v1/models", server.list_models),
        Route("/v1/models/{name}", server.describe_model),
        Route("/tokenize", server.tokenize, methods=["POST"]),
        Route("/detokenize", server.detokenize, methods=["POST"]),
        Route("/tokenizer_info", server.describe_tokenizer),
        Route("/health", lambda _: PlainTextResponse("ok\n")),
        Route("/metrics", server.show_metrics),
    ]
    application = Starlette(
        routes=routes,
        middleware=[
            Middleware(EndCleanly),
            Middleware(server.metrics.middleware),
            Middleware(AccessControl, hosts=hosts, token=token),
        ],
        exception_handlers={
            ApiError: _answer_api_error,
            CharloomError: _answer_model_error,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_disconnected,
        },
    )
    application.state.server = server
    return application
