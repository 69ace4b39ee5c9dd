"""Input and output files of the compression commands, under every option and fault."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from charloom.errors import InputError
from charloom_codec.cli.compressed_files import transform_each_file
from charloom_codec.cli.file_options import FileOptions


def _upper(source: io.BufferedReader, target: BinaryIO, progress: Callable[[object], None]) -> None:
    data = source.read()
    progress(len(data))
    target.write(data.upper())
    if b"bad" in data:
        raise InputError("it is bad")


def _out(file: str) -> str:
    return file + ".up"


def test_the_output_has_the_mode_and_times_of_the_input(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"fox")
    file.chmod(0o640)
    os.utime(file, (1_000_000_000, 1_100_000_000))
    assert transform_each_file([str(file)], _upper, FileOptions(), _out, force=False) == 0
    made = tmp_path / "a.up"
    assert made.read_bytes() == b"FOX"
    assert (made.stat().st_mode & 0o777, made.stat().st_mtime) == (0o640, 1_100_000_000)


def test_a_failing_file_leaves_no_output_and_the_others_are_processed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("a", b"bad"), ("c", b"fox")):
        (tmp_path / name).write_bytes(data)
    files = [str(tmp_path / name) for name in ("a", "b", "c")]
    assert transform_each_file(files, _upper, FileOptions(remove=True), _out, force=False) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "c.up"]
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        f"charloom: error: {tmp_path}/a: it is bad",
        f"charloom: error: {tmp_path}/b: no such file or directory",
    ]


def test_an_input_that_was_replaced_while_it_was_read_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a file as long and as old."""
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"fox")
    other.write_bytes(b"dog")
    for one in (file, other):
        os.utime(one, (1, 1))

    def replace(source: io.BufferedReader, target: BinaryIO, _: Callable[[object], None]) -> None:
        target.write(source.read())
        other.replace(file)

    assert transform_each_file([str(file)], replace, FileOptions(remove=True), _out, force=False) == 1
    assert "the file changed while it was being read, so it was not deleted" in capsys.readouterr().err
    assert file.read_bytes() == b"dog"


def test_an_input_that_changed_while_it_was_read_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"fox")

    def change(source: io.BufferedReader, target: BinaryIO, _: Callable[[object], None]) -> None:
        target.write(source.read())
        file.write_bytes(b"other")

    assert transform_each_file([str(file)], change, FileOptions(remove=True), _out, force=False) == 1
    assert "the file changed while it was being read, so it was not deleted" in capsys.readouterr().err
    assert file.read_bytes() == b"other"
