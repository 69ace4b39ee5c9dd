"""Standard streams that are closed, full, or whose reader is gone, for every command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from process import PATIENCE, environment

pytestmark = pytest.mark.slow

_COMMANDS = {
    "help": "--help",
    "recipes": "recipes section",
    "info": "info MODEL",
    "samples": "generate MODEL --temperature 1 --num-samples 2",
}


def _run(home: Path, words: list[str], stdout: int) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "charloom", *words]
    variables = environment(home, PYTHONUNBUFFERED="")  # Python complains at exit if a buffer is not empty
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, cwd=home, env=variables, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_closed_pipe_ends_it_silently(name: str, char_model: Path, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = _run(tmp_path, _COMMANDS[name].replace("MODEL", str(char_model)).split(), write_end)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


_WITH_FILES = {
    "train": ("train text --epochs 3 --report-every 1 -o new --cell gru --hidden-size 8", "new/model.safetensors"),
    "forecast": ("forecast series.csv --horizon 3 --output new.csv", "new.csv series.csv.forecast.png"),
    "forecast to the pipe": ("forecast series.csv --horizon 3 --output - --save new", "new series.csv.forecast.png"),
    "sweep": ("sweep text --epochs 1 --vary hidden-size=4,8 --output new", "new/results.csv"),
    "report": ("compress text --report -m MODEL", "text.compression.png"),
}


@pytest.mark.parametrize("name", _WITH_FILES)
@pytest.mark.parametrize("closed", ["output", "both"])
def test_a_closed_pipe_does_not_end_work_whose_result_is_a_file(
    name: str, closed: str, char_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("the quick brown fox jumps over the lazy dog\n" * 50)
    (tmp_path / "series.csv").write_text("v\n" + "".join(f"{i % 7 + i * 0.1:.2f}\n" for i in range(40)))
    words, made = _WITH_FILES[name]
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "charloom", *words.replace("MODEL", str(char_model)).split()],
            stdout=write_end,
            stderr=write_end if closed == "both" else subprocess.PIPE,
            cwd=tmp_path,
            env=environment(tmp_path),
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(write_end)
    assert done.returncode == 0
    assert not [file for file in made.split() if not (tmp_path / file).exists()]
    assert b"Traceback" not in (done.stderr or b"")
    assert b"charloom: error" not in (done.stderr or b"")


@pytest.mark.parametrize("words", ["recipes nonsense", "--nonsense"])
def test_errors_to_a_closed_pipe_keep_their_status(words: str, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "charloom", *words.split()]
    try:
        done = subprocess.run(command, stderr=write_end, cwd=tmp_path, env=environment(tmp_path), check=False)
    finally:
        os.close(write_end)
    assert done.returncode in (1, 2)


@pytest.mark.parametrize("name", ["help", "recipes"])
def test_a_full_disk_is_one_line(name: str, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = _run(tmp_path, _COMMANDS[name].split(), full.fileno())
    assert (done.returncode, done.stderr) == (1, b"charloom: error: no space left on device\n")


_PRINTING = ["recipes", "generate MODEL", "evaluate MODEL text --by-line", "forecast series.csv --output -"]


@pytest.mark.parametrize(
    ("words", "closed", "status", "errors"),
    [
        *(
            (words, ">&-", 1, "charloom: error: standard output is closed: omit >&-, or write to a file\n")
            for words in _PRINTING
        ),
        ("recipes", "2>&-", 0, ""),
        ("recipes nonsense", "2>&-", 2, ""),
        ("train - --output model", "<&-", 1, "charloom: error: standard input: empty; there is nothing to read\n"),
    ],
)
def test_closed_streams(words: str, closed: str, status: int, errors: str, char_model: Path, tmp_path: Path) -> None:
    """A shell or a service manager may start the command so."""
    (tmp_path / "text").write_text("the quick brown fox\n")
    words = words.replace("MODEL", str(char_model))
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m charloom {words} {closed}', sys.executable],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, errors)
