"""Exported files: complete or absent."""

from pathlib import Path

import pytest

from charloom import InputError
from charloom.export.files import write_export


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_export(path, b"1", force=False)
    with pytest.raises(InputError, match="already exists"):
        write_export(path, b"2", force=False)
    assert path.read_bytes() == b"1"
    write_export(path, b"2", force=True)
    assert path.read_bytes() == b"2"
    for wrong in (tmp_path / "none" / "file", Path("a\0b"), Path("/proc/nowhere")):
        with pytest.raises(InputError, match="cannot be written"):
            write_export(wrong, b"3", force=True)
    assert [*tmp_path.iterdir()] == [path]
