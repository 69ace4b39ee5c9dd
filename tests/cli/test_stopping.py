"""Signals at any moment of a process' life, in real processes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charloom_codec.cli import stopping
from process import PATIENCE, SMALL, environment

_STOPPED = "charloom: error: stopped\n"

# A module that gets a signal while it is imported. Some modules catch any exception that is raised within.
_MODULE = """
import os, signal, time
os.kill(os.getpid(), {number})
try:
    time.sleep(0.1)
except BaseException as error:
    {then}
"""

# One that gets it in a place from which Python only prints an exception and continues.
_LOST = """
import os
class _Lost:
    def __del__(self):
        os.kill(os.getpid(), {number})
        sum(range(100))
_Lost()
"""

# One whose caller fails with another error while the signal's exception is being handled.
_BROKEN = """
import os
os.kill(os.getpid(), {number})
raise ImportError("half of it")
"""


def _command(kind: str) -> list[str]:
    script = str(Path(sys.executable).with_name("charloom"))
    return [script] if kind == "script" else [sys.executable, "-m", "charloom"]


def _reset_signals() -> None:
    """Restores the default handlers: a process inherits ignored signals from the one that runs the tests."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("cyclopts", _MODULE.replace("{then}", "raise")),
        ("cyclopts", _MODULE.replace("{then}", "raise ImportError('half of it') from error")),
        ("cyclopts", _BROKEN),
        ("torch", _MODULE.replace("{then}", "pass") + "raise ImportError('no such thing')"),
        ("numpy", _LOST + "raise ImportError('no such thing')"),
    ],
)
@pytest.mark.parametrize("kind", ["script", "module"])
def test_stopped_while_it_loads(kind: str, module: str, code: str, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(code.replace("{number}", str(int(number))))
    done = subprocess.run(
        [*_command(kind), "info"],
        env=environment(tmp_path, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=_reset_signals,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", _STOPPED)


# Runs the command; the signal comes at a call of a Python function.
_AT_A_CALL = """
import os, sys
calls = 0
def count(frame, event, argument):
    global calls
    calls += 1
    if calls == {call}:
        sys.setprofile(None)
        os.kill(os.getpid(), {number})
from charloom.__main__ import main
from charloom_codec.cli import stopping
install = stopping.stop_on_signals
def then_count(entry):
    install(entry)
    sys.setprofile(count)
stopping.stop_on_signals = then_count
sys.argv = ["charloom", *{words}]
main()
"""


@pytest.mark.parametrize("call", [1, 50, 20_000, pytest.param(400_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_stopped_at_a_call(number: signal.Signals, call: int, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a fox and a dog\n" * 5000)
    words = ["train", "text", *SMALL, "--epochs", "1000", "--output", "model"]
    code = _AT_A_CALL.format(call=call, number=int(number), words=words)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=_reset_signals,
    )
    assert (done.returncode, done.stderr) == (128 + number, _STOPPED)
    assert os.listdir(tmp_path) == ["text"]  # noqa: PTH208


_LONG_WORK = {
    "train": ["train", "text", *SMALL, "--epochs", "100000", "--output", "model"],
    "sweep": ["sweep", "text", *SMALL, "--epochs", "100000", "--vary", "dropout=0,0.1", "--output", "model"],
    "generate": ["generate", "MODEL", "--num-chars", "1000000000"],
    "evaluate": ["evaluate", "MODEL", "long"],
    "compress": ["compress", "long", "-m", "MODEL"],
    "forecast": ["forecast", "series.csv", "--horizon", "10", "--epochs", "100000"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _LONG_WORK)
def test_stopped_at_any_moment(name: str, char_model: Path, tmp_path: Path) -> None:
    """From the first line of charloom's code: until then Python handles the signal."""
    (tmp_path / "text").write_text("a fox and a dog\n" * 500)
    (tmp_path / "long").write_text("the quick brown fox jumps over the lazy dog\n" * 100_000)
    (tmp_path / "series.csv").write_text("v\n" + "".join(f"{i % 7 + i * 0.1:.2f}\n" for i in range(300)))
    before = set(tmp_path.iterdir())
    chance = random.Random(name)
    for attempt in range(8):
        number = (signal.SIGINT, signal.SIGTERM)[attempt % 2]
        process = subprocess.Popen(
            [*_command("module"), *(str(char_model) if word == "MODEL" else word for word in _LONG_WORK[name])],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_reset_signals,
        )
        while not _catches(process.pid, number):
            assert process.poll() is None
        time.sleep(chance.random() ** 2 * 4)
        process.send_signal(number)
        _, written = process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + number
        made = set(tmp_path.iterdir()) - before
        # A run that trained for long enough may have warned of overfitting.
        errors = [
            line for line in written.decode().splitlines(keepends=True) if not line.startswith("charloom: warning: ")
        ]
        if errors:
            assert errors == [_STOPPED]
            assert not [path for path in made if not path.is_dir()]
        else:  # training and sweeps report on standard output what they saved
            assert name in ("train", "sweep")
        if name == "train" and not errors:
            assert json.loads((tmp_path / "model" / "config.json").read_text())
        for path in made:
            subprocess.run(["rm", "-r", str(path)], check=True)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """nohup and shells start background processes so."""
    (tmp_path / "text").write_text("a fox and a dog\n" * 50)
    process = subprocess.Popen(
        [*_command("module"), "train", "text", *SMALL, "--epochs", "2", "--output", "model"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith(b"run "):
        process.send_signal(signal.SIGINT)
        assert process.poll() is None
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, b"")


def _catches(pid: int, number: signal.Signals) -> bool:
    """Returns True if charloom's handler of a signal is installed, which comes with one for SIGALRM."""
    caught = next(
        int(line.split()[1], 16)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("SigCgt:")
    )
    return bool(caught >> (signal.SIGALRM - 1) & 1 and caught >> (number - 1) & 1)


def test_signals_that_are_handled() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stopping.handled_signals()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert set(stopping.handled_signals()) <= {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        assert signal.SIGHUP in stopping.handled_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_caused_by_a_signal_is_handled_once() -> None:
    """Also if a library raised another error from it; a chain of causes may be circular."""
    assert not stopping._is_handled(None)
    assert stopping._is_handled(stopping.Stopped(2))
    first, second = ValueError(), ImportError()
    first.__context__, second.__context__ = second, first
    assert not stopping._is_handled(first)
    second.__context__ = stopping.Stopped(15)
    assert stopping._is_handled(first)


# A signal after the work, when Python has taken its handlers away and other threads are still there.
_AS_PYTHON_ENDS = """
import os, sys, threading, time
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {number})
sys.charloom_last = Last()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
from charloom.__main__ import main
sys.argv = ["charloom", "recipes"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_as_python_ends_changes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AS_PYTHON_ENDS.format(number=int(number))],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=_reset_signals,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("auto")


def test_where_nobody_set_it_up_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a caller of ``run_command_line`` who has a life of its own."""
    monkeypatch.setattr(os, "_exit", lambda _: pytest.fail("ended"))
    before = signal.getsignal(signal.SIGTERM)
    stopping.exit_if_stopped()
    stopping.exit_at_once(0)
    assert signal.getsignal(signal.SIGTERM) is before
