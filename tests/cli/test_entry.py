"""Ctrl-C while the command still loads, as real processes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process import environment

# A module that is stopped by Ctrl-C while it is imported; some catch what happens there.
_STOPPED = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
except KeyboardInterrupt as error:
    {then}
"""


@pytest.mark.parametrize(
    ("module", "then"),
    [("cyclopts", "raise"), ("cyclopts", "raise ImportError('half of it') from error"), ("torch", "raise")],
)
@pytest.mark.parametrize("command", ["script", "module"])
def test_stopped_while_it_loads(command: str, module: str, then: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(_STOPPED.format(then=then))
    script = Path(sys.executable).with_name("charloom")
    words = [script] if command == "script" else [sys.executable, "-m", "charloom"]
    done = subprocess.run(
        [*words, "info"],
        env=environment(tmp_path, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs the tests may have it ignored
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "charloom: error: stopped\n")
