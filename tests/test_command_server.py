"""The server that forks commands for the tests: a forked command ends, and sees its surroundings, as a new process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forked_command import CommandServer, ForkedCommand
from process import PATIENCE, environment, wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no descriptors of processes")

_REPORT = """
import json, os, signal, sys, threading
streams = [sys.stdin, sys.stdout, sys.stderr]
report = {
    "arguments": sys.argv,
    "folder": os.getcwd(),
    "path": sys.path,
    "name": [__name__, __spec__.name, sys.modules["__main__"].__file__],
    "environment": {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    "mask": os.umask(0),
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "descriptors": len(os.listdir("/proc/self/fd")),
    "threads": len(os.listdir("/proc/self/task")),
    "group": os.getpgid(0),
    "streams": [
        [type(s).__name__, type(s.buffer).__name__, s.name, s.mode, s.encoding, s.errors, s.line_buffering]
        + [s.write_through, s.isatty(), s.seekable(), s.fileno()] for s in streams
    ],
    "input": sys.stdin.read(),
}
print(json.dumps(report))
"""
_ENDS = {
    "return": "",
    "number": "import sys; sys.exit(7)",
    "text": "import sys; sys.exit('no')",
    "exception": "raise ValueError('no')",
    "interrupt": "raise KeyboardInterrupt",
    "signal": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "at exit": "import atexit, sys; atexit.register(print, 'late'); print('early', end=' '); sys.exit(3)",
    "thread": "import threading, time; threading.Timer(0.01, print, ['done']).start()",
    "closed pipe": "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); print('x'); sys.exit(4)",
    "lost output": "import os; os.close(1); print('x')",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    with contextlib.closing(CommandServer(environment(tmp_path_factory.mktemp("server")), ())) as found:
        yield found


def _start(server: CommandServer | None, home: Path, code: str, *arguments: str, **options: Any) -> Any:
    """Starts a module with the code by the server, or as a new process."""
    program = home / "program.py"
    if not program.exists() or program.read_text() != code:  # another process may read it now
        program.write_text(code)
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    options |= {"cwd": home, "env": environment(home, CHARLOOM_X="1", XDG_X="\u00e9\udc80")}
    if server is None:
        return subprocess.Popen([sys.executable, "-m", "program", *arguments], **options)
    return ForkedCommand(server, "program", *arguments, **options)


def _run(server: CommandServer | None, home: Path, code: str, *arguments: str, **options: Any) -> tuple[int, str, str]:
    process = _start(server, home, code, *arguments, text=True, **options)
    out, errors = process.communicate("a\r\n\u00e9" if process.stdin else None, timeout=PATIENCE)
    return process.returncode, out, errors


@pytest.mark.parametrize("stdin", [subprocess.PIPE, subprocess.DEVNULL, None])
def test_a_command_sees_what_a_new_process_sees(server: CommandServer, stdin: int | None, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("a file")
    mask = os.umask(0o027)
    try:
        results = []
        for one in (None, server):
            with (tmp_path / "input").open() as file:
                source = file if stdin is None else stdin
                results.append(_run(one, tmp_path, _REPORT, "a", "-b", "\u00e9", stdin=source))
    finally:
        os.umask(mask)
    assert [(status, errors) for status, _, errors in results] == [(0, "")] * 2
    fresh, forked = (json.loads(out) for _, out, _ in results)
    assert forked == fresh


@pytest.mark.parametrize("name", _ENDS)
def test_a_command_ends_as_a_new_process_ends(server: CommandServer, name: str, tmp_path: Path) -> None:
    fresh, forked = (_run(one, tmp_path, _ENDS[name]) for one in (None, server))
    assert forked[:2] == fresh[:2]
    # The traceback of a forked command has more lines.
    assert forked[2].splitlines()[-1:] == fresh[2].splitlines()[-1:]


def test_signals_reach_the_command(server: CommandServer, tmp_path: Path) -> None:
    code = (
        "import sys, time\ntry:\n  print('ready', flush=True); time.sleep(600)\nexcept KeyboardInterrupt: sys.exit(9)"
    )
    for number, status in ((signal.SIGINT, 9), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        process = _start(server, tmp_path, code)
        assert process.stdout.readline() == b"ready\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0)
        process.send_signal(number)
        assert process.wait(PATIENCE) == process.poll() == status
        process.communicate()


def test_several_commands_at_once(server: CommandServer, tmp_path: Path) -> None:
    """Each has its own end of its pipes: the input of one ends while the other still runs."""
    code = "import os, sys; print(os.getpid(), sys.stdin.read(), end='')"
    processes = [_start(server, tmp_path, code, text=True) for _ in range(3)]
    for i in (1, 0, 2):
        assert processes[i].communicate(str(i), timeout=PATIENCE) == (f"{processes[i].pid} {i}", "")
    assert {process.returncode for process in processes} == {0}


def test_a_variable_that_imports_may_read_needs_a_new_process(server: CommandServer, tmp_path: Path) -> None:
    assert server.can_fork(environment(tmp_path, CHARLOOM_KERNELS="pytorch"))
    assert not server.can_fork(environment(tmp_path, PYTHONPATH="."))
    assert not server.can_fork({"HOME": str(tmp_path)})


def test_the_loss_of_the_server_is_an_error(tmp_path: Path) -> None:
    server = CommandServer(environment(tmp_path), ())
    process = _start(server, tmp_path, "input()", stdout=None, stderr=None)
    assert server.process is not None
    server.process.kill()
    with pytest.raises(RuntimeError, match="has ended with status -9"):
        process.wait()
    process.stdin.close()  # which ends the command
    with pytest.raises(RuntimeError, match="has ended with status -9"):
        _start(server, tmp_path, "")
    with pytest.raises(RuntimeError, match="has ended with status -9"):
        server.close()


# A worker of the tests that is killed while a command runs.
_WORKER = """
import pathlib, sys, time
from forked_command import CommandServer, ForkedCommand
from process import environment
home = pathlib.Path(sys.argv[1])
server = CommandServer(environment(home), ())
command = ForkedCommand(server, "program", cwd=home, env=environment(home))
print(server.process.pid, command.pid, flush=True)
time.sleep(600)
"""


def test_the_server_ends_with_the_tests(tmp_path: Path) -> None:
    """Also if they are killed; a command then ends with its input, as a new process does."""
    (tmp_path / "program.py").write_text("import sys; sys.stdin.read()")
    support = str(Path(__file__).parent / "support")
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": support},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        worker.kill()
    wait_until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
