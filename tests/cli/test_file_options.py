"""The options of the compression commands, and the files that they select."""

import io
import sys
from pathlib import Path
from unittest import mock

import pytest

from charloom import SettingsError
from charloom_codec.cli.file_options import FileOptions


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
        assert FileOptions().select([], compressed=compressed) == ["-"]
        with (
            mock.patch.object(sys.stdin, "isatty", return_value=True),
            pytest.raises(SettingsError, match="no input file: pass one or more, or - for standard input"),
        ):
            FileOptions().select([], compressed=compressed)


def test_files_in_folders(tmp_path: Path) -> None:
    """Sorted, without links, and each command selects the files that it can process."""
    for name in ("b", "a.loom", "sub/c", "sub/d.loom", "sub/deep/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "loop").symlink_to(".")
    root = str(tmp_path)
    options = FileOptions(recursive=True)
    assert options.select([root], compressed=False) == [f"{root}/b", f"{root}/sub/c", f"{root}/sub/deep/e"]
    assert options.select([root], compressed=True) == [f"{root}/a.loom", f"{root}/sub/d.loom"]
    assert options.select(["x", f"{root}/sub"], compressed=True) == ["x", f"{root}/sub/d.loom"]
    assert FileOptions().select([root], compressed=True) == [root]
    other = FileOptions(recursive=True, suffix="b")
    assert other.select([root], compressed=True) == [f"{root}/b"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with (
        mock.patch("os.scandir", side_effect=PermissionError(13, "Permission denied", str(tmp_path))),
        pytest.raises(PermissionError),
    ):
        FileOptions(recursive=True).select([str(tmp_path)], compressed=False)


def test_the_name_of_the_decompressed_file() -> None:
    assert FileOptions().remove_suffix("a/b.txt.loom") == "a/b.txt"
    assert FileOptions(suffix=".x").remove_suffix("b.x") == "b"
    for name in ("b.txt", "a/.loom", "a.x"):
        assert FileOptions().remove_suffix(name) is None
