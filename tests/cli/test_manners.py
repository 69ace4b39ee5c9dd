"""Each row of the table in docs/reference/compressors.md, as a process with a real model: what users of gzip expect."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from process import environment

_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 20


@pytest.fixture
def home(tmp_path: Path, char_model: Path) -> Path:
    shutil.copytree(char_model, tmp_path / "model")
    (tmp_path / "a.txt").write_bytes(_TEXT)
    return tmp_path


def _loom(home: Path, *words: str, stdin: bytes = b"", model: str = "model", status: int = 0) -> bytes:
    """Runs the command with a default model in the environment; returns its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "charloom_codec", *words],
        cwd=home,
        env=environment(home, CHARLOOM_MODEL=model),
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == status, done.stderr.decode()
    return done.stdout


def test_stdout_keeps_the_input(home: Path) -> None:
    blob = _loom(home, "compress", "-c", "a.txt")
    assert not (home / "a.txt.loom").exists()
    assert _loom(home, "decompress", stdin=blob) == _TEXT
    (home / "b").write_bytes(blob)
    assert _loom(home, "compress", "-dc", "b") == _TEXT


def test_standard_input_without_a_name(home: Path) -> None:
    assert _loom(home, "compress", "-d", stdin=_loom(home, "compress", stdin=_TEXT)) == _TEXT


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar")
def test_tar_runs_it_as_a_filter(home: Path) -> None:
    (home / "folder").mkdir()
    (home / "folder" / "b").write_bytes(_TEXT[::-1])
    script = home / "loom"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charloom_codec compress "$@"\n')
    script.chmod(0o755)
    variables = environment(home, CHARLOOM_MODEL=str(home / "model"))
    run = ["tar", "-I", str(script)]
    subprocess.run([*run, "-cf", "a.tar.loom", "folder"], cwd=home, env=variables, check=True)
    shutil.rmtree(home / "folder")
    subprocess.run([*run, "-xf", "a.tar.loom"], cwd=home, env=variables, check=True)
    assert (home / "folder" / "b").read_bytes() == _TEXT[::-1]


def test_test_verifies_and_writes_nothing(home: Path) -> None:
    _loom(home, "compress", "a.txt")
    before = sorted(home.iterdir())
    assert _loom(home, "compress", "-t", "a.txt.loom") == b""
    assert _loom(home, "decompress", "--test", "a.txt.loom") == b""
    blob = bytearray((home / "a.txt.loom").read_bytes())
    blob[len(blob) // 2] ^= 1
    (home / "a.txt.loom").write_bytes(blob)
    _loom(home, "decompress", "--test", "a.txt.loom", status=1)
    assert sorted(home.iterdir()) == before


def test_folders_and_suffixes(home: Path) -> None:
    (home / "d" / "e").mkdir(parents=True)
    for name in ("d/1", "d/e/2"):
        (home / name).write_bytes(_TEXT)
    _loom(home, "compress", "-r", "d", "-S", ".x", "--rm")
    assert sorted(p.name for p in (home / "d").rglob("*") if p.is_file()) == ["1.x", "2.x"]
    _loom(home, "compress", "-dr", "d", "-S", ".x", "--rm")
    assert {p.read_bytes() for p in (home / "d").rglob("*") if p.is_file()} == {_TEXT}
    assert sorted(p.name for p in (home / "d").rglob("*") if p.is_file()) == ["1", "2"]


def test_joined_files(home: Path) -> None:
    (home / "b.txt").write_bytes(_TEXT[:100])
    both = _loom(home, "compress", "-c", "a.txt", "b.txt")
    assert _loom(home, "decompress", stdin=both) == _TEXT + _TEXT[:100]


def test_quiet_and_verbose(home: Path) -> None:
    (home / "model" / "codec.safetensors").unlink()  # created again, with a warning
    for words, expected in ((["-q"], ""), (["-v", "-f"], "a.txt -> a.txt.loom: 880 -> ")):
        program = [sys.executable, "-m", "charloom_codec", "compress", "a.txt", *words]
        variables = environment(home, CHARLOOM_MODEL="model")
        done = subprocess.run(program, cwd=home, env=variables, capture_output=True, text=True, check=True)
        assert done.stderr.startswith(expected)
        assert bool(done.stderr) == bool(expected)


def test_exit_statuses(home: Path) -> None:
    _loom(home, "compress", "missing", "a.txt", status=1)  # the others are processed
    assert (home / "a.txt.loom").exists()
    _loom(home, "compress", "a.txt", status=1)  # the output exists
    _loom(home, "compress", "a.txt", "--nonsense", status=2)
    _loom(home, "compress", "a.txt", "--suffix", "", status=2)
    _loom(home, "compress", "-f", "a.txt", model="nowhere", status=1)


def test_times_and_mode_are_kept(home: Path) -> None:
    os.utime(home / "a.txt", (1_000_000_000, 1_100_000_000))
    (home / "a.txt").chmod(0o600)
    _loom(home, "compress", "a.txt", "--remove")
    _loom(home, "decompress", "a.txt.loom")
    found = (home / "a.txt").stat()
    assert (found.st_mtime, found.st_mode & 0o777) == (1_100_000_000, 0o600)
