"""Runs ``charloom`` as a user does: a process of its own, no network, an empty home.

A process takes seconds to import PyTorch: for many invalid calls, ``call`` runs the command in the tests' process.
"""

import contextlib
import io
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from charloom.cli.app import run_command_line

SMALL = ["--recipe", "own-text", "--cell", "gru", "--hidden-size", "16", "--batch-size", "4", "--num-steps", "10"]
"""Options of a small model that trains fast."""

PATIENCE = 600
"""Seconds to wait for a process: more than it takes if several suites run at once on a busy machine."""

_started: "list[subprocess.Popen[bytes]]" = []

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


def start(home: Path, *arguments: str | Path, **variables: str) -> "subprocess.Popen[bytes]":
    """Starts ``charloom ARGUMENTS`` with its output and errors as pipes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "charloom", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
        env=environment(home, **variables),
    )
    _started.append(process)
    return process


def end_processes() -> None:
    """Kills the processes of ``start`` that still run."""
    while _started:
        with _started.pop() as process:
            process.kill()


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[Any] | None" = None) -> None:
    """Waits for the condition while the process runs."""
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def run(home: Path, *arguments: str | Path, stdin: bytes = b"", **variables: str) -> Result:
    """Runs ``charloom ARGUMENTS`` in the folder ``home`` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "charloom", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=home,
        env=environment(home, **variables),
        timeout=PATIENCE,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode(), done.stdout)


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
