"""The options of the compression commands, and the files that they select."""

import io
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from charloom import Codec, SettingsError
from charloom_codec.cli.file_options import FileOptions, find_default_model
from fake_engines import PlainEngine


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (["a", "b"], {"output": "x"}, "--output names a single file, but there are 2 input files"),
        (["a"], {"output": ""}, "--output is empty"),
        (["a"], {"output": "-", "remove": True}, "--remove requires an output file: omit --remove, or"),
        (["a"], {"stdout": True, "remove": True}, "--remove requires an output file"),
        (["a"], {"keep": True, "remove": True}, "--keep and --remove contradict each other"),
        (["a"], {"output": "x", "stdout": True}, "--output and --stdout contradict"),
        (["a"], {"output": "x", "recursive": True}, "--output and --recursive contradict"),
        (["a"], {"test": True, "list_files": True}, "--test and --list contradict"),
        (["a"], {"quiet": True, "verbose": True}, "--quiet and --verbose contradict"),
        (["a"], {"test": True, "stdout": True}, "--test writes no file"),
        (["a"], {"list_files": True, "output": "x"}, "--list writes no file"),
        (["a"], {"test": True, "remove": True}, "--test writes no file"),
        (["a"], {"suffix": ""}, "--suffix must be a part of a file name"),
        (["a"], {"suffix": "/x"}, "--suffix must be a part of a file name"),
    ],
)
def test_options_that_contradict_each_other(files: list[str], options: dict[str, bool], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FileOptions(**options).check(files)  # type: ignore[arg-type]


@pytest.mark.parametrize("compressed", [False, True])
def test_without_files_standard_input_is_read_unless_it_is_a_terminal(compressed: bool) -> None:
    with mock.patch.object(sys, "stdin", io.StringIO()):
        assert FileOptions().select([], compressed=compressed) == (["-"], 0)
        with (
            mock.patch.object(sys.stdin, "isatty", return_value=True),
            pytest.raises(SettingsError, match="no input file: pass one or more, or - for standard input"),
        ):
            FileOptions().select([], compressed=compressed)


def test_files_in_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted, without links, and each command selects the files that it can process."""
    blob = Codec(PlainEngine()).compress(b"x")
    for name in ("b", "a.loom", "plain.loom", "sub/c", "sub/d.loom", "sub/deep/-"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(blob if name in ("a.loom", "sub/d.loom") else b"text")
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "loop").symlink_to(".")
    monkeypatch.chdir(tmp_path)

    def select(*files: str, compressed: bool, **options: Any) -> list[str]:
        found, status = FileOptions(**{"recursive": True} | options).select(files, compressed=compressed)
        assert status == 0
        return found

    assert select(".", compressed=False) == ["./b", "./plain.loom", "./sub/c", "./sub/deep/-"]
    assert select(".", compressed=True) == ["./a.loom", "./plain.loom", "./sub/d.loom"]
    assert select("x", "sub", compressed=True) == ["x", "sub/d.loom"]
    assert select("sub/deep", compressed=False) == ["sub/deep/-"]
    assert select(".", compressed=True, recursive=False) == ["."]
    assert select(".", compressed=True, suffix="b") == ["./b"]
    monkeypatch.chdir("sub/deep")
    assert select(".", compressed=False) == ["./-"]  # not standard input


def test_a_folder_that_cannot_be_listed_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "sub").mkdir()
    real = os.scandir

    def scan(folder: str) -> Any:
        if folder.endswith("sub"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    with mock.patch("os.scandir", scan):
        found = FileOptions(recursive=True).select([str(tmp_path)], compressed=False)
    assert found == ([f"{tmp_path}/a"], 1)
    assert f"{tmp_path}/sub: permission denied" in capsys.readouterr().err


def test_threads() -> None:
    assert FileOptions().num_threads is None
    assert FileOptions(threads=3).num_threads == 3
    assert FileOptions(threads=0).num_threads == os.cpu_count()


@pytest.mark.parametrize(("value", "model"), [(None, None), ("", None), ("english", Path("english"))])
def test_the_default_model(value: str | None, model: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARLOOM_MODEL", raising=False)
    if value is not None:
        monkeypatch.setenv("CHARLOOM_MODEL", value)
    assert find_default_model() == model


def test_the_name_of_the_decompressed_file() -> None:
    assert FileOptions().remove_suffix("a/b.txt.loom") == "a/b.txt"
    assert FileOptions(suffix=".x").remove_suffix("b.x") == "b"
    for name in ("b.txt", "a/.loom", "a.x"):
        assert FileOptions().remove_suffix(name) is None
