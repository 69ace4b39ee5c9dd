"""Runs the command line as real processes, and trains the two small models that its tests share.

Most of what a command costs is the import of PyTorch, 2 to 3 seconds. ``run`` therefore forks each process from one
that has imported it already: its own arguments, environment, streams, signals and exit status, but imports that cost
nothing. ``start`` is a fresh interpreter, for what a fork could hide: the start itself, pipes and signals. Every file
of tests that trains, generates or evaluates does so in a fresh interpreter once.
"""

import atexit
import functools
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS_TO_HANG = 120
SMALL = ("--hidden-size", "16", "--batch-size", "4", "--num-steps", "10", "--epochs", "2", "--sample-every", "0")
"""Options that make a model in no time."""
SENTENCE = "the quick brown fox jumps over the lazy dog\n"
BINARY = bytes(range(256)) * 4
"""Every byte there is, so it begins with a NUL, and half of it is not UTF-8."""


@dataclass(frozen=True)
class Result:
    """What a process left: status (minus the signal's number where one killed it) and what it wrote."""

    status: int
    raw: bytes
    errors: str

    @property
    def output(self) -> str:
        return self.raw.decode()


def run(
    *arguments: str | Path,
    stdin: bytes = b"",
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> Result:
    """Runs ``charloom ARGUMENTS`` to its end, ``env`` on top of ``clean_environment``."""
    words = [str(argument) for argument in arguments]
    variables = clean_environment() | dict(env or {})
    if fresh:
        done = subprocess.run(
            [sys.executable, "-m", "charloom", *words],
            input=stdin,
            capture_output=True,
            cwd=cwd or _room(),
            env=variables,
            timeout=SECONDS_TO_HANG,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())
    with tempfile.TemporaryDirectory(dir=_room()) as folder:
        streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        streams[0].write_bytes(stdin)
        order = {"words": words, "env": variables, "cwd": str(cwd or _room()), "streams": [str(s) for s in streams]}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(order).encode() + b"\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return Result(status, streams[1].read_bytes(), streams[2].read_text(encoding="utf-8"))


def start(*arguments: str | Path, **pipes: int) -> "subprocess.Popen[bytes]":
    """Starts ``charloom ARGUMENTS`` in a fresh interpreter, its output and errors as pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "charloom", *map(str, arguments)],
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes),  # type: ignore[arg-type]
        cwd=_room(),
        env=clean_environment(),
    )


def error_of(result: Result, status: int = 1) -> str:
    """The one line of a command that failed as it should, without 'charloom: error: '."""
    assert result.status == status, result
    *notes, last = result.errors.splitlines()
    assert all(note.startswith("charloom: note: ") for note in notes), result.errors
    assert last.startswith("charloom: error: "), result.errors
    assert result.errors.endswith("\n")
    return last.removeprefix("charloom: error: ")


def output_of(result: Result) -> str:
    """What a command wrote that did what it should, without a word on standard error."""
    assert (result.status, result.errors) == (0, ""), result
    return result.output


@functools.cache
def clean_environment() -> dict[str, str]:
    """This process' environment without charloom's variables, caches and network; one thread."""
    home = _room() / "home"
    home.mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHARLOOM_", "XDG_", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    nowhere = "http://127.0.0.1:9"  # the port called discard, where nobody listens
    proxies = {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "http_proxy": nowhere, "https_proxy": nowhere}
    return kept | proxies | {"HOME": str(home), "OMP_NUM_THREADS": "1"}


@functools.cache
def char_model() -> Path:
    """The folder of a model that knows one sentence by heart."""
    folder = _room() / "char-model"
    text = _room() / "sentences.txt"
    text.write_text(SENTENCE * 30)
    trained = run(
        *("train", text, "--out", folder, "--cell", "lstm", "--hidden-size", "32", "--batch-size", "8"),
        *("--num-steps", "20", "--epochs", "40", "--learning-rate", "0.02", "--validation-fraction", "0"),
    )
    output_of(trained)
    return folder


@functools.cache
def byte_model() -> Path:
    """The folder of a byte model of a binary file."""
    folder = _room() / "byte-model"
    file = _room() / "file.bin"
    file.write_bytes(BINARY)
    output_of(run("train", file, "--out", folder, "--unit", "byte", *SMALL))
    return folder


@functools.cache
def _room() -> Path:
    folder = tempfile.mkdtemp(prefix="charloom-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _server() -> "subprocess.Popen[bytes]":
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()
    )

    def end() -> None:
        server.communicate(timeout=SECONDS_TO_HANG)

    atexit.register(end)
    return server


def _serve() -> None:
    """Forks a process for each order on standard input, and answers with its status."""
    # What the commands import when they run.
    import matplotlib.figure  # noqa: F401

    import charloom.baselines
    import charloom.training.run_folder
    import charloom.training.trainer
    from charloom.cli.app import main

    gc.freeze()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        child = os.fork()
        if not child:
            signal.alarm(SECONDS_TO_HANG)
            for number, file in enumerate(order["streams"]):
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
            os.environ.clear()
            os.environ.update(order["env"])
            os.chdir(order["cwd"])
            sys.argv = ["charloom", *order["words"]]
            main()
        _, status = os.waitpid(child, 0)
        sys.stdout.buffer.write(b"%d\n" % os.waitstatus_to_exitcode(status))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
