"""``charloom generate``: the modules that it loads, and how it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process import PATIENCE, environment, start

pytestmark = pytest.mark.slow


def test_it_loads_no_compiler(char_model: Path, tmp_path: Path) -> None:
    """PyTorch's compiler takes over a second to import, and generation does not need it."""
    command = [sys.executable, "-X", "importtime", "-m", "charloom", "generate", str(char_model), "--num-chars", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=False)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in imported
    assert "torch._dynamo" not in imported


def test_ctrl_c_ends_it(char_model: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "generate", char_model, "--num-chars", "100000000")
    assert process.stdout is not None
    assert process.stdout.read(100)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, b"charloom: error: stopped\n")
