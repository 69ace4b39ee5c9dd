"""The benchmark's side of the protocol: an environment and a process for each peer."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ENVIRONMENTS = _HERE.parent.parent / ".venv-peers"


class Worker:
    """The process of a peer; its models stay warm between rounds, and it sleeps while others are measured."""

    def __init__(self, name: str, threads: int) -> None:
        """Starts ``NAME_worker.py`` on ``threads`` processors. Raises RuntimeError if it has no environment."""
        # Passive: threads of a peer must not spin while others are measured.
        variables = dict(os.environ, OMP_NUM_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3", OMP_WAIT_POLICY="PASSIVE")
        variables["PYTHONPATH"] = f"{_HERE}{os.pathsep}{_HERE.parent}"
        if name == "torch":
            del variables["OMP_WAIT_POLICY"]  # the setting that PyTorch's users have
        command = [str(_python(name)), str(_HERE / f"{name}_worker.py")]
        processors = set(sorted(os.sched_getaffinity(0))[:threads])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=variables,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns ``{"seconds": ...}`` of one step, or ``{"refused": reason}``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {"refused": "the worker's process ended"}
        return answer

    def close(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.wait()


def _python(name: str) -> Path:
    requirements = _HERE / f"{name}.txt"
    if not requirements.exists():
        return Path(sys.executable)
    home = _ENVIRONMENTS / name
    stamp = home / "installed-for"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"Creating the environment of {name} (once) ...", flush=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(requirements)],
        ):
            if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
                raise RuntimeError(f"{name} cannot be installed here ({requirements.name})")
        stamp.write_text(requirements.read_text())
    return home / "bin" / "python"
