"""The pages of the server: the list of models, a page for each model and each training run, and a comparison."""

import hashlib
import html
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Protocol, TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charloom.export.html import build_page
from charloom.export.page_files import fill_page
from charloom.export.start_prefix import find_start_prefix
from charloom.serving.completions import ServedModel
from charloom.serving.requests import ApiError
from charloom.serving.responses import answer_page
from charloom.serving.sources import ModelSource
from charloom.serving.watched_run import WatchedRun

Result = TypeVar("Result")


class Compute(Protocol):
    """A function that runs another one in a thread."""

    def __call__(self, function: Callable[[], Result], /) -> Awaitable[Result]:
        """Returns the result of the function."""
        ...


class Pages:
    """The pages, which are made when they are requested."""

    def __init__(self, sources: Mapping[str, ModelSource], compute: Compute, max_tokens: int) -> None:
        """Initializes the pages.

        Args:
            sources: Sources of the models, by name.
            compute: Function that runs another one in a thread.
            max_tokens: Maximum number of tokens that the server generates for a prompt.
        """
        self._sources = sources
        self._compute = compute
        self._max_tokens = max_tokens
        self._watching = anyio.CapacityLimiter(1)  # thread, as WatchedRun requires; completions do not wait for it
        self._built: dict[str, tuple[ServedModel, str, str]] = {}

    def make_routes(self) -> list[Route]:
        """Returns the routes of the pages."""
        return [
            Route("/", self.show_index),
            Route("/models/{name}", self.show_model),
            Route("/compare", self.show_comparison),
            Route("/runs/{name}", self.show_run),
            Route("/runs/{name}/state", self.report_run),
        ]

    async def show_index(self, _: Request) -> Response:
        """Answers ``GET /``: the models and their runs; with one model, its page, or that of its run."""
        if len(self._sources) == 1:
            (source,) = self._sources.values()
            served = await self._compute(source.get)
            return self._make_run_page(source.name) if served is None else await self._make_model_page(served)
        items = "".join([await self._list_source(source) for source in self._sources.values()])
        parts = {"models": items, "navigation": self._link_pages("/")}
        return answer_page(fill_page("index.html", parts))

    async def _list_source(self, source: ModelSource) -> str:
        name, address = html.escape(source.name), quote(source.name, safe="")
        served = await self._compute(source.get)
        model = f"{name}: no model yet" if served is None else f'<a href="/models/{address}">{name}</a>'
        run = f' (<a href="/runs/{address}">training run of {name}</a>)' if await self._has_run(source) else ""
        return f"<li>{model}{run}</li>"

    async def show_model(self, request: Request) -> Response:
        """Answers ``GET /models/NAME``."""
        source = self._find(request)
        served = await self._compute(source.get)
        if served is None:
            raise ApiError(f"{source.name:.100} has no model yet: its training run saves it at the end", status=503)
        return await self._make_model_page(served)

    async def _make_model_page(self, served: ServedModel) -> Response:
        source = self._sources[served.name]
        links = self._link_pages(run=served.name if await self._has_run(source) else None)
        *found, page = self._built.get(served.name, (None, "", ""))
        if found != [served, links]:
            prefix = await self._compute(lambda: find_start_prefix(served.model, source.path))
            page = await self._compute(lambda: build_page(served.model, "float32", served.name, prefix, links))
            self._built[served.name] = served, links, page
        return answer_page(page)

    async def show_comparison(self, _: Request) -> Response:
        """Answers ``GET /compare``."""
        loaded = [await self._compute(source.get) for source in self._sources.values()]
        models = [served for served in loaded if served is not None]
        if len(models) < 2:
            raise ApiError("a comparison needs two models: pass more folders to charloom serve", status=404)
        parts = {
            "models": "".join(f"<option>{html.escape(served.name)}</option>" for served in models),
            "navigation": self._link_pages("/compare"),
        }
        return answer_page(fill_page("compare.html", parts, max_chars=self._max_tokens))

    async def show_run(self, request: Request) -> Response:
        """Answers ``GET /runs/NAME``."""
        await self._find_run(request)
        return self._make_run_page(request.path_params["name"])

    async def report_run(self, request: Request) -> Response:
        """Answers ``GET /runs/NAME/state``: the state of the run, unless the browser has it already."""
        run = await self._find_run(request)
        content = json.dumps(asdict(await self._watch(run.report))).encode()
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="application/json")

    def _make_run_page(self, name: str) -> Response:
        parts = {
            "name": html.escape(name),
            "address": f"/runs/{quote(name, safe='')}/state",
            "model": f"/models/{quote(name, safe='')}",
            "navigation": self._link_pages(),
        }
        return answer_page(fill_page("run.html", parts))

    def _find(self, request: Request) -> ModelSource:
        name = request.path_params["name"]
        if name not in self._sources:
            raise ApiError(f"there is no model {name:.100}", status=404)
        return self._sources[name]

    async def _find_run(self, request: Request) -> WatchedRun:
        source = self._find(request)
        if source.run is None or not await self._has_run(source):
            raise ApiError(f"{source.name:.100} has no training run", status=404)
        return source.run

    async def _has_run(self, source: ModelSource) -> bool:
        run = source.run
        return run is not None and await self._watch(lambda: run.exists)

    async def _watch(self, function: Callable[[], Result]) -> Result:
        return await anyio.to_thread.run_sync(function, limiter=self._watching)

    def _link_pages(self, present: str = "", run: str | None = None) -> str:
        """Returns the links to the other pages, and to a training run."""
        links = {"/": "Models", "/compare": "Compare"} if len(self._sources) > 1 else {}
        if run is not None:
            links[f"/runs/{quote(run, safe='')}"] = "Training run"
        items = "".join(f'<a href="{address}">{text}</a>' for address, text in links.items() if address != present)
        return f'<nav aria-label="Pages">{items}</nav>' if items else ""
