"""``charloom compress`` and ``decompress`` as real processes, with injected faults."""

import os
import pty
import random
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from process import PATIENCE, environment

_SUPPORT = Path(__file__).parents[1] / "support"
_COMMANDS = {
    "fake": [str(_SUPPORT / "fake_command_line.py")],
    "real": ["-m", "charloom"],
}

_TEXT = random.Random(1).randbytes(150_000).hex().encode()

_BUFFERS = pytest.mark.parametrize("unbuffered", ["", "1"])  # PYTHONUNBUFFERED: another type of standard output


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def command(request: pytest.FixtureRequest) -> list[str]:
    """The start of the command line; its model is in the folder ``model``."""
    return [sys.executable, *_COMMANDS[request.param]]


@pytest.fixture
def home(tmp_path: Path, char_model: Path) -> Path:
    (tmp_path / "model").symlink_to(char_model)
    (tmp_path / "big").write_bytes(_TEXT)
    return tmp_path


def _environment(home: Path) -> dict[str, str]:
    return environment(home, PYTHONPATH=str(_SUPPORT))


def _run(
    home: Path, command: list[str], words: str, *, stdin: bytes = b"", limit: Callable[[], None] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*command, *words.split()],
        input=stdin,
        capture_output=True,
        cwd=home,
        env=_environment(home),
        timeout=PATIENCE,
        check=False,
        preexec_fn=limit,
    )


def _names(home: Path) -> list[str]:
    return sorted(file.name for file in home.iterdir() if file.is_file())


@pytest.mark.parametrize("command", ["fake", "real"], indirect=True)
def test_round_trip_through_a_pipe(home: Path, command: list[str]) -> None:
    """Runs without PyTorch: its import alone would take longer."""
    done = _run(home, command, "compress - -m model", stdin=_TEXT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) < len(_TEXT) * 0.6
    back = _run(home, [command[0], "-X", "importtime", *command[1:]], "decompress - -m model", stdin=done.stdout)
    assert (back.returncode, back.stdout) == (0, _TEXT)
    imported = {line.rpartition("|")[2].strip() for line in back.stderr.decode().splitlines()}
    assert "numpy" in imported
    assert "torch" not in imported


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["compress big -m model", "decompress big.loom -m model -f", "compress big -m model --by-line"]
)
def test_a_full_disk(words: str, home: Path, command: list[str]) -> None:
    """A limit on the size of files simulates it: one line, no partial output, no input lost."""
    _run(home, command, "compress big -m model")
    whole = (home / "big.loom").read_bytes()
    if words.startswith("compress"):
        (home / "big.loom").unlink()
    before = _names(home)
    done = _run(home, command, words, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert done.returncode == 1
    name = words.split()[1]
    assert done.stderr.decode() == f"charloom: error: {name}: file too large\n"
    assert _names(home) == before
    assert (home / "big").read_bytes() == _TEXT
    assert whole.startswith(b"\xc7cl")


@pytest.mark.slow
@_BUFFERS
def test_a_full_standard_output(unbuffered: str, home: Path, command: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*command, "compress", "big", "-m", "model", "-o", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=home,
            env=_environment(home) | {"PYTHONUNBUFFERED": unbuffered},
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"charloom: error: big: no space left on device\n")


def test_a_folder_that_is_not_writable(home: Path, command: list[str]) -> None:
    """/proc refuses new files even to root."""
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    done = _run(home, command, "compress big -m model -o /proc/big.loom")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("charloom: error: big: /proc/big.loom: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_signal_leaves_no_partial_output(
    number: signal.Signals, threads: str, home: Path, command: list[str]
) -> None:
    """The input comes through a pipe that stays open, so that the signal comes in the middle of the work."""
    process = subprocess.Popen(
        [*command, "compress", "-", "-m", "model", "-o", "out.loom", "--threads", threads],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
        env=_environment(home),
    )
    assert process.stdin is not None
    process.stdin.write(_TEXT)
    process.stdin.flush()
    _wait_for(lambda: any(name.startswith(".out.loom") for name in _names(home)))
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert errors == b"charloom: error: stopped\n"
    assert _names(home) == ["big"]


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("the condition was not met in time")


@pytest.mark.slow
def test_no_binary_output_to_a_terminal(home: Path, command: list[str]) -> None:
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [*command, "compress", "big", "-m", "model", "-o", "-"],
            stdout=terminal,
            stderr=subprocess.PIPE,
            cwd=home,
            env=_environment(home),
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(controller)
    assert done.returncode == 1
    assert b"not written to a terminal" in done.stderr


def test_a_closed_pipe_ends_it_silently(home: Path, command: list[str]) -> None:
    _run(home, command, "compress big -m model")
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [*command, "decompress", "big.loom", "-m", "model", "-o", "-"],
            stdout=write_end,
            stderr=subprocess.PIPE,
            cwd=home,
            env=_environment(home),
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def _peak(home: Path, command: list[str], words: str) -> int:
    """Returns the peak memory of the process, in bytes."""
    process = subprocess.Popen([*command, *words.split()], cwd=home, env=_environment(home))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_memory_is_bounded(kind: str, home: Path) -> None:
    """40 and 400 MB take the same memory: a few segments per thread. The engine's own memory is not measured here."""
    command = [sys.executable, *_COMMANDS["fake"]]
    peaks = []
    for size in (40_000_000, 400_000_000):
        with (home / "long").open("wb") as file:
            if kind == "zeros":
                file.truncate(size)
            else:
                for _ in range(size // 1_000_000):
                    file.write(os.urandom(1_000_000))
        peaks.append(
            (
                _peak(home, command, "compress long -m model --threads 2 -f"),
                _peak(home, command, "decompress long.loom -m model --threads 2 -f"),
            )
        )
    for small, large in zip(*peaks, strict=True):
        assert large < small + 16_000_000


@_BUFFERS
def test_standard_output_is_complete_or_an_error_is_reported(unbuffered: str, home: Path) -> None:
    """A short write, as on a disk that is nearly full, is an error. Unbuffered Python makes short writes."""
    command = [sys.executable, *_COMMANDS["fake"]]
    _run(home, command, "compress big -m model")
    with (home / "out").open("wb") as out:
        done = subprocess.run(
            [*command, "decompress", "big.loom", "-m", "model", "-o", "-"],
            stdout=out,
            stderr=subprocess.PIPE,
            cwd=home,
            env=_environment(home) | {"PYTHONUNBUFFERED": unbuffered},
            timeout=PATIENCE,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        )
    assert done.returncode == 1
    assert done.stderr == b"charloom: error: big.loom: file too large\n"


@pytest.mark.parametrize("words", ["compress big -m model -o - >&-", "compress - -m model -o x <&-"])
def test_closed_streams_are_an_error(words: str, home: Path) -> None:
    command = shlex.join([sys.executable, *_COMMANDS["fake"]])
    done = subprocess.run(
        ["sh", "-c", f"{command} {words}"], cwd=home, env=_environment(home), stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 1
    assert b"closed" in done.stderr
    assert not (home / "x").exists()
