"""Runs ``charloom`` as a user does: a process of its own, no network, an empty home.

A new process takes seconds to import PyTorch, so one that has done it is forked for each command. For many invalid
calls, ``call`` runs the command in the tests' process.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from charloom.cli.app import run_command_line
from forked_command import CommandServer, ForkedCommand

SMALL = ["--recipe", "own-text", "--cell", "gru", "--hidden-size", "16", "--batch-size", "4", "--num-steps", "10"]
"""Options of a small model that trains fast."""

PATIENCE = 600
"""Seconds to wait for a process: more than it takes if several suites run at once on a busy machine."""

_started: "list[subprocess.Popen[Any]]" = []
_servers: list[CommandServer] = []

_NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens, so that downloads fail at once


@dataclass(frozen=True)
class Result:
    """The result of a process."""

    status: int
    out: str
    errors: str
    raw_out: bytes

    def error(self, status: int = 1) -> str:
        """Returns the one line of a command that failed as expected; notes may precede it."""
        assert self.status == status, self
        *notes, last = self.errors.splitlines()
        assert last.startswith("charloom: error: "), self.errors
        assert all(note.startswith(("charloom: warning: ", "charloom: note: ")) for note in notes), self.errors
        return last.removeprefix("charloom: error: ")

    def done(self) -> str:
        """Returns the output of a command that succeeded with nothing on standard error."""
        assert (self.status, self.errors) == (0, ""), self
        return self.out


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Returns this process' environment with another home, without network and charloom's variables."""
    ours = ("CHARLOOM_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _NOWHERE)
    return kept | proxies | {"HOME": str(home), "no_proxy": "", "NO_PROXY": ""} | variables


@contextlib.contextmanager
def commands_forked() -> Iterator[None]:
    """Forks the commands of ``start`` and ``run`` within the context."""
    with contextlib.closing(CommandServer(environment(Path(tempfile.gettempdir())))) as server:
        _servers.append(server)
        try:
            yield
        finally:
            _servers.remove(server)


def start(
    home: Path,
    *arguments: str | Path,
    new: bool = False,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    text: bool = False,
    **variables: str,
) -> "subprocess.Popen[Any]":
    """Starts ``charloom ARGUMENTS`` in the folder ``home``.

    Args:
        home: The current folder and the home of the process.
        arguments: Arguments of the command.
        new: Start a new interpreter. Otherwise, that is done only if a variable differs that imports may read.
        stdin: As of ``subprocess.Popen``, like ``stdout``, ``stderr`` and ``text``.
        stdout: See ``stdin``.
        stderr: See ``stdin``.
        text: See ``stdin``.
        variables: Variables of the environment.
    """
    words = [str(argument) for argument in arguments]
    options: dict[str, Any] = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "text": text, "cwd": home}
    options["env"] = environment(home, **variables)
    servers = [server for server in _servers if not new and server.can_fork(options["env"])]
    if servers:
        process: subprocess.Popen[Any] = ForkedCommand(servers[0], "charloom", *words, **options)
    else:
        process = subprocess.Popen([sys.executable, "-m", "charloom", *words], **options)
    _started.append(process)
    return process


@contextlib.contextmanager
def processes_ended() -> Iterator[None]:
    """Kills, at the end of the context, the processes that ``start`` started within it."""
    before = len(_started)
    yield
    while len(_started) > before:
        with _started.pop() as process:
            process.kill()


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[Any] | None" = None) -> None:
    """Waits for the condition while the process runs."""
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def run(home: Path, *arguments: str | Path, new: bool = False, stdin: bytes = b"", **variables: str) -> Result:
    """Runs ``charloom ARGUMENTS`` to its end, started as by ``start``, with an input."""
    options: dict[str, Any] = {"new": new, "stdin": subprocess.PIPE, **variables}
    process = start(home, *arguments, **options)
    out, errors = process.communicate(stdin, timeout=PATIENCE)
    return Result(process.returncode, out.decode("utf-8", "replace"), errors.decode(), out)


def call(home: Path, *arguments: str | Path, stdin: bytes = b"") -> Result:
    """Runs the command within this process and its environment, with the result of ``run``, but faster."""
    out, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(home),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        warnings.catch_warnings(),
    ):
        status = run_command_line([str(argument) for argument in arguments])
    written = [stream.buffer.getvalue() for stream in (out, errors)]
    return Result(status, written[0].decode("utf-8", "replace"), written[1].decode(), written[0])
