"""``charloom serve``."""

import os
import secrets
import socket
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from charloom.errors import CharloomError, SettingsError
from charloom.settings.limits import check_count
from charloom_codec.cli import screen

if TYPE_CHECKING:
    from starlette.applications import Starlette

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_STOP_SECONDS = 5


def serve(
    *models: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allowed_host: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    max_tokens: int = 10_000,
    max_requests: int = 64,
) -> None:
    """Serve models over HTTP: an API in the form of OpenAI's, and a page for each model.

        charloom serve mybook english

    The page generates text, and shows surprise and the next characters; with several models, /compare compares two.
    The folder of a run that still trains gets a page with its curves and samples. A model that is trained again is
    loaded again. The API has /v1/completions (also streamed),
    /v1/models, /tokenize, /detokenize, /health and /metrics (Prometheus). Requires pip install 'charloom[serve]'.

    The server answers programs on this machine only, unless --host is another address: then each request needs a
    token. Pages of other origins are refused. Ctrl-C stops the server; running requests end with an error.

    Parameters
    ----------
    models
        Folders of models or training runs, checkpoint files, names of models of the package, or models on the Hub
        (hf:USER/NAME); each is served under the name of its folder.
    host
        Address to listen on; 0.0.0.0 for all addresses of this machine.
    port
        Port; 0 for any that is free.
    token
        Token that each request needs, as the header "Authorization: Bearer TOKEN"; browsers open the address with
        ?token=TOKEN once. Default: none on this machine; a new one for any other address, which is printed.
    allowed_host
        Another name under which the server is reached, such as that of a proxy; repeat the option for several.
    max_tokens
        Maximum number of characters (bytes, for a byte model) to generate for a prompt.
    max_requests
        Maximum number of completions that are computed at the same time; further ones are refused with status 503.
    """
    if not models:
        raise SettingsError("no model: pass the folders of one or more models")
    if not 0 <= port <= 65_535:
        raise SettingsError("it must be from 0 to 65535", setting="port", value=port)
    check_count("max_tokens", max_tokens, minimum=1)
    check_count("max_requests", max_requests, minimum=1)
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token or not token):
        raise SettingsError("it must consist of ASCII characters without spaces", setting="token")
    if token is None and host not in _LOOPBACK:
        token = secrets.token_urlsafe(24)
    # Before the models are loaded, so that a port in use is reported at once.
    with _listen(host, port) as listener:
        application, names = _load(models, [host, *allowed_host], token, max_tokens, max_requests)
        address = _describe_address(host, listener.getsockname()[1])
        query = "" if token is None else f"?token={token}"
        screen.messages().print(f"Serving {', '.join(names)} at {address}{query} (Ctrl-C stops)")
        _run(application, listener)


def _run(application: "Starlette", listener: socket.socket) -> None:
    """Serves until a signal arrives."""
    import uvicorn

    class StoppingServer(uvicorn.Server):
        """A server whose running requests end at their next chunk after a signal."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Notes the signal."""
            application.state.server.is_stopping = True
            super().handle_exit(sig, frame)

    # The access log is off: a prompt belongs to the person who wrote it. At the end, uvicorn logs the requests that it
    # cancels as errors.
    config = uvicorn.Config(
        application, log_level="critical", access_log=False, timeout_graceful_shutdown=_STOP_SECONDS
    )
    StoppingServer(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens. Raises SettingsError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except (socket.gaierror, UnicodeError):
        problem = "no such host"
    except OSError as error:
        problem = os.strerror(error.errno or 0).lower()  # without the address, which Python adds
    raise SettingsError(f"cannot listen on {host}:{port}: {problem}; choose another --host or --port")


def _describe_address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _load(
    models: tuple[Path, ...], hosts: list[str], token: str | None, max_tokens: int, max_requests: int
) -> tuple["Starlette", list[str]]:
    """Returns the application, and the names of the models. Raises SettingsError if two have the same name."""
    try:
        from charloom.serving.application import Server, make_application
    except ImportError as error:
        raise CharloomError(
            f"{(error.name or '').partition('.')[0]} is not installed; install it with pip install 'charloom[serve]'"
        ) from None
    from charloom.serving.sources import ModelSource, name_source

    names = [name_source(path) for path in models]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise SettingsError(f"two models have the name {name}: rename one of the folders")
    server = Server([ModelSource(path) for path in models], max_tokens=max_tokens, max_requests=max_requests)
    hosts = [f"[{host}]" if ":" in host else host for host in hosts]
    return make_application(server, hosts=hosts, token=token), names
