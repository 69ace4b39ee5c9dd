"""``charloom doctor``, once as a process. Broken installations are in ``tests/installation/test_native_code.py``."""

import contextlib
import os
from pathlib import Path

import pytest

from charloom.cli.app import run_command_line
from charloom.installation import checks
from charloom.installation.finding import Finding
from process import call, run


def test_one_line_for_each_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The native code is checked in other processes, which takes seconds; the next test does it."""
    for subject in ("kernels", "codec"):
        finding = Finding("ok", subject, "correct")
        monkeypatch.setattr(checks, f"check_{subject}", lambda finding=finding: finding)
    lines = [line.split(maxsplit=2) for line in call(tmp_path, "doctor").done().splitlines()]
    assert {status for status, *_ in lines} <= {"ok", "warning"}
    assert {subject for _, subject, _ in lines} > {"versions", "torch", "kernels", "codec", "cache"}


def test_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(
        tmp_path, "doctor", new=True, CHARLOOM_CACHE=str(tmp_path / "file" / "cache"), CHARLOOM_KERNELS="pytorch"
    )
    assert (result.status, result.errors) == (1, "")
    lines = {line.split()[1]: line for line in result.out.splitlines()}
    assert {"kernels", "codec"} < lines.keys()
    assert lines["cache"].startswith("problem  cache     ")
    assert lines["cache"].endswith("(not a directory); set CHARLOOM_CACHE to a folder that can be written")
    assert lines["backend"].startswith("warning  backend   CHARLOOM_KERNELS=pytorch selects PyTorch's own")


def test_a_problem_is_one_after_the_pipe_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If standard output is closed (``charloom doctor | head -1``), the exit status is still that of all checks."""
    findings = [Finding("ok", "torch", "works"), Finding("problem", "cache", "cannot be written", "empty the disk")]
    monkeypatch.setattr(checks, "check_installation", lambda: iter(findings))
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as pipe, contextlib.redirect_stdout(pipe):
        assert run_command_line(["doctor"]) == 1
