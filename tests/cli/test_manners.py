"""Each row of the table in docs/reference/compressors.md, with a real model: what users of gzip expect."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from process import call, environment

_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 20


@pytest.fixture
def home(tmp_path: Path, char_model: Path) -> Path:
    shutil.copytree(char_model, tmp_path / "model")
    (tmp_path / "a.txt").write_bytes(_TEXT)
    return tmp_path


def _loom(home: Path, *words: str, stdin: bytes = b"", model: str = "model", status: int = 0) -> bytes:
    """Runs the command with a default model in the environment; returns its standard output."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLOOM_MODEL", model)
        result = call(home, *words, stdin=stdin)
    assert result.status == status, result.errors
    return result.raw_out


def _process(home: Path, *words: str, stdin: bytes = b"", model: str = "model", status: int = 0) -> bytes:
    """Does ``_loom`` by a process of charloom-codec."""
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
    blob = _process(home, "compress", "-c", "a.txt")
    assert not (home / "a.txt.loom").exists()
    assert _process(home, "decompress", stdin=blob) == _TEXT
    (home / "b").write_bytes(blob)
    assert _process(home, "compress", "-dc", "b") == _TEXT


def test_standard_input_without_a_name(home: Path) -> None:
    for words in (["compress", "-d"], ["decompress"], ["decompress", "-d"]):
        assert _loom(home, *words, stdin=_loom(home, "compress", stdin=_TEXT)) == _TEXT


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
    before = {file: file.read_bytes() for file in home.iterdir() if file.is_file()}
    assert _loom(home, "compress", "-t", "a.txt.loom") == b""
    assert _loom(home, "decompress", "--test", "a.txt.loom") == b""
    blob = bytearray((home / "a.txt.loom").read_bytes())
    blob[len(blob) // 2] ^= 1
    (home / "damaged").write_bytes(blob)
    _loom(home, "decompress", "--test", "a.txt.loom", "damaged", status=1)
    _loom(home, "decompress", "damaged", "-o", "out", status=1)
    (home / "damaged").unlink()
    assert {file: file.read_bytes() for file in home.iterdir() if file.is_file()} == before


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


def test_list(home: Path) -> None:
    _loom(home, "compress", "a.txt")
    heading, row = _loom(home, "compress", "-l", "a.txt.loom", model="nowhere").decode().splitlines()
    assert heading.split()[:3] == ["compressed", "original", "ratio"]
    assert row.split()[1] == "880"


def test_threads_keep_and_output(home: Path) -> None:
    _loom(home, "compress", "-k", "-T0", "a.txt", "-o", "b.loom")
    _loom(home, "compress", "-T", "1", "a.txt", "-o", "c.loom")
    assert (home / "b.loom").read_bytes() == (home / "c.loom").read_bytes()
    assert (home / "a.txt").exists()


def test_links_and_compressed_input(home: Path) -> None:
    (home / "link").symlink_to("a.txt")
    _loom(home, "compress", "link")
    assert _loom(home, "decompress", "-c", "link.loom") == _TEXT
    (home / "renamed").write_bytes((home / "link.loom").read_bytes())
    _loom(home, "compress", "renamed", status=1)
    _loom(home, "compress", "-f", "renamed")
    _loom(home, "decompress", "-f", "renamed.loom")
    assert (home / "renamed").read_bytes() == (home / "link.loom").read_bytes()


def test_remove_keeps_what_was_not_written(home: Path) -> None:
    """The output exists; the disk refuses it; it is a file of the model."""
    (home / "a.txt.loom").write_bytes(b"mine")
    _loom(home, "compress", "--rm", "a.txt", status=1)
    (home / "locked").mkdir()
    (home / "locked" / "b").write_bytes(_TEXT)
    (home / "locked" / "b.loom").mkdir()
    _loom(home, "compress", "--rm", "locked/b", status=1)
    _loom(home, "compress", "-r", "--rm", "model", status=1)
    assert (home / "a.txt").read_bytes() == (home / "locked" / "b").read_bytes() == _TEXT
    assert (home / "model" / "codec.safetensors").exists()
    assert (home / "a.txt.loom").read_bytes() == b"mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_verbose_with_a_named_pipe(home: Path) -> None:
    os.mkfifo(home / "pipe")
    writer = threading.Thread(target=(home / "pipe").write_bytes, args=(_TEXT,))
    writer.start()
    _loom(home, "compress", "-v", "pipe", "-o", "b.loom")
    writer.join()
    assert _loom(home, "decompress", "-c", "b.loom") == _TEXT


@pytest.mark.usefixtures("kept_engines")
def test_a_default_model_that_is_not_needed(home: Path) -> None:
    """A file states a model of the package; a wrong default does not hide it."""
    _loom(home, "compress", "a.txt", model="english")
    (home / "english").mkdir()
    for model in ("model", "nowhere", "", "english", "/"):
        assert _loom(home, "decompress", "-c", "a.txt.loom", model=model) == _TEXT
    _loom(home, "compress", "-f", "a.txt", model="", status=2)


def test_quiet_and_verbose(home: Path) -> None:
    (home / "model" / "codec.safetensors").unlink()  # created again, with a warning
    for words, expected in ((["-q"], ""), (["-v", "-f"], "a.txt: 880 -> ")):
        result = call(home, "compress", "a.txt", "-m", "model", *words)
        assert result.status == 0
        assert result.errors.startswith(expected)
        assert bool(result.errors) == bool(expected)


def test_exit_statuses(home: Path) -> None:
    _process(home, "compress", "missing", "a.txt", status=1)  # the others are processed
    assert (home / "a.txt.loom").exists()
    _process(home, "compress", "a.txt", status=1)  # the output exists
    _process(home, "compress", "a.txt", "--nonsense", status=2)
    _process(home, "compress", "a.txt", "--suffix", "", status=2)
    _process(home, "compress", "-f", "a.txt", model="nowhere", status=1)


def test_times_and_mode_are_kept(home: Path) -> None:
    os.utime(home / "a.txt", (1_000_000_000, 1_100_000_000))
    (home / "a.txt").chmod(0o600)
    _loom(home, "compress", "a.txt", "--remove")
    _loom(home, "decompress", "a.txt.loom")
    found = (home / "a.txt").stat()
    assert (found.st_mtime, found.st_mode & 0o777) == (1_100_000_000, 0o600)
