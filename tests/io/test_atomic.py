"""Atomic writes: files appear complete, with the right permissions, or not at all."""

import os
import re
import stat
from pathlib import Path

import pytest

from charloom.errors import InputError
from charloom_codec.io.atomic import atomic_file, remove_leftovers, remove_unfinished, write_atomically


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with atomic_file(target) as file:
        file.write(b"first")
        file.flush()
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".a.bin.")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"first"
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_name_may_be_as_long_as_the_system_lets_it(tmp_path: Path) -> None:
    for name in ("a" * 255, "あ" * 85):  # bytes count
        write_atomically({tmp_path / name: b"whole"})
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_what_failed_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def stopped() -> None:
        with atomic_file(target, overwrite=True) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(ValueError, match="null byte"), atomic_file(Path("a\0b")):
        pass
    remove_unfinished()  # nothing was left to remove


def test_a_process_that_exits_removes_its_temporary_files(tmp_path: Path) -> None:
    """Also if a signal came before the ``with`` statement had the file, as it can between any two steps."""
    context = atomic_file(tmp_path / "a.bin")
    context.__enter__().write(b"half")
    assert len(list(tmp_path.iterdir())) == 1
    child = os.fork()
    if not child:
        remove_unfinished()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1  # only the process that made them may remove them, not its children
    remove_unfinished()
    assert not list(tmp_path.iterdir())
    del context


def test_existing_files_are_overwritten_only_if_asked(tmp_path: Path) -> None:
    """Neither a file that existed nor one that appeared during the write."""
    target = tmp_path / "a.bin"
    with pytest.raises(InputError, match="the file already exists"), atomic_file(target):
        target.write_bytes(b"theirs")
    with pytest.raises(InputError), atomic_file(target):
        raise AssertionError("the write started")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"theirs"]
    with atomic_file(target, overwrite=True) as file:
        file.write(b"ours")
    assert target.read_bytes() == b"ours"


def test_permissions_and_times_are_copied(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")
    other.chmod(0o640)
    os.utime(other, ns=(10**18, 10**18 + 7))
    with atomic_file(tmp_path / "a", like=other.stat()):
        pass
    found = (tmp_path / "a").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o640, 10**18 + 7)


def test_errors_name_the_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for target, kind in ((tmp_path / "none" / "a", FileNotFoundError), (tmp_path / "file" / "a", NotADirectoryError)):
        with pytest.raises(kind) as caught, atomic_file(target):
            pass
        assert caught.value.filename == str(target)


def test_a_group_of_files_appears_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one write fails none appears, and the old files stay."""
    old, files = tmp_path / "old", {tmp_path / name: name.encode() for name in "abc"}
    old.write_bytes(b"old")
    sync, synced = os.fsync, []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            write_atomically(files, remove=[old])
    assert caught.value.filename == str(tmp_path / "c")
    assert list(tmp_path.iterdir()) == [old]
    write_atomically(files, remove=[old, tmp_path / "never"])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_leftovers_of_killed_processes(tmp_path: Path) -> None:
    """Only temporary files of the given names are removed."""
    with atomic_file(tmp_path / "model.json"):
        (temporary,) = tmp_path.iterdir()
    left = tmp_path / temporary.name
    others = [left.with_name(left.name.replace("model", "other")), tmp_path / ".model.json", tmp_path / "model.json"]
    for path in (left, *others):
        path.write_bytes(b"half")
    remove_leftovers(tmp_path, re.compile(r"model\.json"))
    assert sorted(tmp_path.iterdir()) == sorted(others)
    remove_leftovers(tmp_path / "no folder", re.compile("x"))
