"""Native modules that are missing, damaged, of another Python, processor or version, in a copy of the packages."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

import charloom
import charloom_codec
from charloom.installation.finding import Finding
from charloom.installation.native_code import check_codec, check_kernels
from charloom_codec.engines.native import supported
from native import INSTRUCTION_SETS
from process import environment

_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
_native = pytest.mark.skipif(not INSTRUCTION_SETS or not supported(), reason="no native code")
_linux = pytest.mark.skipif(sys.platform != "linux", reason="the faults are those of files in Linux's format")

Doctor: TypeAlias = Callable[[], tuple[int, dict[str, str]]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of both packages."""
    ignored = shutil.ignore_patterns("named", "page")
    for package in (charloom, charloom_codec):
        for folder in package.__path__:  # the native modules of an editable installation are in another folder
            shutil.copytree(folder, tmp_path / package.__name__, ignore=ignored, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def doctor(copy: Path) -> Doctor:
    """A function that runs ``charloom doctor`` of the copy; returns the exit status, and the lines by subject."""
    others = sysconfig.get_path("purelib")

    def run() -> tuple[int, dict[str, str]]:
        # -S: without the hooks of an editable installation, which would import the packages from their sources.
        command = [sys.executable, "-S", "-m", "charloom", "doctor"]
        variables = environment(copy, PYTHONPATH=f"{copy}:{others}")
        done = subprocess.run(command, cwd=copy, env=variables, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, {line.split()[1]: line for line in done.stdout.splitlines()}

    return run


@_native
def test_this_installation() -> None:
    assert check_kernels() == Finding("ok", "kernels", f"correct results with {', '.join(INSTRUCTION_SETS)}")
    assert check_codec() == Finding("ok", "codec", f"correct results with {', '.join(supported())}")


@_native
def test_a_copy_without_faults(doctor: Doctor) -> None:
    status, lines = doctor()
    assert status == 0
    assert {lines[name].split()[0] for name in ("versions", "kernels", "codec", "cache")} == {"ok"}


@_native
def test_no_native_code(copy: Path, doctor: Doctor) -> None:
    for name in ("charloom/_kernels", "charloom_codec/_codec"):
        (copy / f"{name}{_SUFFIX}").unlink()
    status, lines = doctor()
    assert status == 0
    assert lines["kernels"].startswith("warning  kernels   charloom._kernels is not installed")
    assert lines["codec"].endswith("install a C++ compiler, then install charloom and charloom-codec again")


@_native
def test_native_code_of_another_python_and_damaged_files(copy: Path, doctor: Doctor) -> None:
    module = copy / f"charloom/_kernels{_SUFFIX}"
    module.rename(module.with_name("_kernels.cpython-39-x86_64-linux-gnu.so"))
    codec = copy / f"charloom_codec/_codec{_SUFFIX}"
    codec.write_bytes(b"a damaged file" * 500)
    status, lines = doctor()
    assert status == 1
    assert "_kernels.cpython-39-x86_64-linux-gnu.so was built for another Python or system" in lines["kernels"]
    assert lines["codec"].startswith(f"problem  codec     {codec.name} cannot be loaded (")


@_native
@_linux
@pytest.mark.parametrize(
    "cut", [*(pytest.param([name], marks=pytest.mark.slow) for name in ("kernels", "codec")), ["kernels", "codec"]]
)
def test_a_file_that_was_cut_ends_no_check(cut: list[str], copy: Path, doctor: Doctor) -> None:
    """Loading it ends the process, as it does in the first assertion."""
    files = {"kernels": copy / f"charloom/_kernels{_SUFFIX}", "codec": copy / f"charloom_codec/_codec{_SUFFIX}"}
    for subject in cut:
        data = files[subject].read_bytes()
        files[subject].write_bytes(data[: len(data) // 2])
        load = [sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(files[subject])!r})"]
        assert subprocess.run(load, check=False).returncode < 0
    status, lines = doctor()
    assert status == 1
    for subject, file in files.items():
        if subject in cut:
            start = f"problem  {subject:<10}{file.name} cannot be loaded (a process that loads it ends with SIG"
            assert lines[subject].startswith(start)
            assert lines[subject].endswith(
                "; install charloom and charloom-codec again, with the same version and with this Python"
            )
        else:
            assert lines[subject].startswith(f"ok       {subject:<10}correct results with ")
    assert {"torch", "backend", "threads", "cache"} < {*lines}


@_native
@_linux
def test_native_code_of_another_processor(copy: Path, doctor: Doctor) -> None:
    codec = copy / f"charloom_codec/_codec{_SUFFIX}"
    data = bytearray(codec.read_bytes())
    assert data[:4] == b"\x7fELF"
    data[18:20] = b"\x08\x00"  # the processor, in the header of the file: MIPS
    codec.write_bytes(data)
    status, lines = doctor()
    assert status == 1
    assert lines["codec"].startswith(f"problem  codec     {codec.name} cannot be loaded (")
    assert lines["kernels"].startswith("ok ")


@_native
def test_native_code_of_another_version(copy: Path, doctor: Doctor) -> None:
    """The Python code has a cell that the native code lacks."""
    cells = copy / "charloom_codec/cells.py"
    text = cells.read_text(encoding="utf-8")
    row = '    Cell("lstm", 3, "lstm"'
    assert row in text
    cells.write_text(text.replace(row, '    Cell("lstm", 4, "lstm"'), encoding="utf-8")
    status, lines = doctor()
    assert status == 1
    assert "was built from another version of charloom" in lines["kernels"]


@_native
def test_native_code_with_other_arguments(copy: Path, doctor: Doctor) -> None:
    """The Python code passes an argument that the native code does not take."""
    calls = copy / "charloom/recurrence/kernel_calls.py"
    text = calls.read_text(encoding="utf-8")
    assert '"backward_in_time": ' in text
    calls.write_text(text.replace('"backward_in_time": ', '"reversed_in_time": '), encoding="utf-8")
    status, lines = doctor()
    assert status == 1
    assert lines["kernels"].startswith("problem  kernels   charloom._kernels fails (TypeError")


@_native
@_linux
@pytest.mark.parametrize(
    ("subject", "place"), [("kernels", "    ids = model.voc"), ("codec", "    return engine.start")]
)
def test_native_code_that_ends_the_process(subject: str, place: str, copy: Path, doctor: Doctor) -> None:
    """An instruction that the processor lacks ends the process of one check; the others are still made."""
    tests = copy / "charloom/installation/self_tests.py"
    text = tests.read_text(encoding="utf-8")
    assert place in text
    tests.write_text(text.replace(place, f"    __import__('os').kill(__import__('os').getpid(), 4)\n{place}", 1))
    status, lines = doctor()
    assert status == 1
    start = f"problem  {subject:<10}charloom{'_codec._codec' if subject == 'codec' else '._kernels'} fails "
    assert lines[subject].startswith(f"{start}(a process that computes with it ends with SIGILL); ")
    assert lines["codec" if subject == "kernels" else "kernels"].startswith("ok ")
    assert {"torch", "backend", "threads", "cache"} < {*lines}
