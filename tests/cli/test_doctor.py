"""``charloom doctor``, once as a process. Broken installations are in ``tests/installation/test_native_code.py``."""

from pathlib import Path

from process import call, run


def test_one_line_for_each_check(tmp_path: Path) -> None:
    lines = [line.split(maxsplit=2) for line in call(tmp_path, "doctor").done().splitlines()]
    assert {status for status, *_ in lines} <= {"ok", "warning"}
    assert {subject for _, subject, _ in lines} > {"versions", "torch", "kernels", "codec", "cache"}


def test_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(tmp_path, "doctor", CHARLOOM_CACHE=str(tmp_path / "file" / "cache"), CHARLOOM_KERNELS="pytorch")
    assert (result.status, result.errors) == (1, "")
    lines = {line.split()[1]: line for line in result.out.splitlines()}
    assert lines["cache"].startswith("problem  cache     ")
    assert lines["cache"].endswith("(not a directory); set CHARLOOM_CACHE to a folder that can be written")
    assert lines["backend"].startswith("warning  backend   CHARLOOM_KERNELS=pytorch selects PyTorch's own")
