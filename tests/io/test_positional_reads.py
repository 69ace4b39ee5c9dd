"""Reads at a position leave the offset of the file alone."""

from pathlib import Path

from charloom_codec.io.positional_reads import read_at


def test_reads_do_not_depend_on_the_offset(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    with (tmp_path / "x").open("rb", buffering=0) as file:
        file.seek(7)
        assert read_at(file.fileno(), 3, 2) == b"234"
        assert read_at(file.fileno(), 5, 8) == b"89"
        assert read_at(file.fileno(), 5, 20) == b""
        assert file.read() == b"789"
