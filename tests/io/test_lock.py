"""One process at a time in a folder, however the process before it ended."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from charloom import ModelFolderError
from charloom.io.lock import FolderLock

_HOLD = (
    "import sys, pathlib; from charloom.io.lock import FolderLock\n"
    "with FolderLock(pathlib.Path(sys.argv[1]), 'a run'): print('held', flush=True); sys.stdin.read()"
)


def _holder(folder: Path) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.parametrize("end", ["kill", "communicate"])
def test_another_process_is_refused_until_this_one_ends(tmp_path: Path, end: str) -> None:
    with _holder(tmp_path) as process:
        with pytest.raises(ModelFolderError, match="another run is using this folder: wait until it ends, or stop it"):
            FolderLock(tmp_path, "another run").take()
        getattr(process, end)()
        process.wait()
        with FolderLock(tmp_path, "another run"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file(tmp_path: Path) -> None:
    """The error names the file, and the folder is free."""
    file = tmp_path / "state"
    with FolderLock(tmp_path, "", name=".state.lock"):
        with pytest.raises(ModelFolderError, match=r"state: another watch is using this file: wait until it ends"):
            FolderLock(tmp_path, "another watch", name=".state.lock", file=file).take()
        with FolderLock(tmp_path, "a run"):
            pass


def test_what_is_interrupted_while_it_takes_the_lock_can_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, stat = FolderLock(tmp_path, "a run"), Path.stat

    def interrupted(path: Path) -> os.stat_result:
        if path.name == ".lock":
            raise KeyboardInterrupt
        return stat(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock.take()
    lock.release()
    with FolderLock(tmp_path, "another"):
        pass


def test_never_two_at_once(tmp_path: Path) -> None:
    """Although the lock file is removed and created all the time."""
    inside: list[int] = []
    most = 0

    def work(_: int) -> bool:
        nonlocal most
        try:
            with FolderLock(tmp_path, "another"):
                inside.append(1)
                time.sleep(0.001)
                most = max(most, len(inside))
                inside.pop()
        except ModelFolderError:
            time.sleep(0.0005)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(1000))) > 10
    assert most == 1


@pytest.mark.parametrize("to", ["file", "nowhere", "fifo"])
def test_a_foreign_link_or_pipe_in_place_of_the_lock(tmp_path: Path, to: str) -> None:
    """It is neither followed nor waited for."""
    target = tmp_path / "target"
    folder = tmp_path / "folder"
    folder.mkdir()
    if to == "file":
        target.write_text("mine")
    if to == "fifo":
        os.mkfifo(folder / ".lock")
    else:
        (folder / ".lock").symlink_to(target)
        with pytest.raises(OSError, match="symbolic links"):
            FolderLock(folder, "a run").take()
    if to == "file":
        assert target.read_text() == "mine"
    assert target.exists() == (to == "file")
    if to == "fifo":
        with FolderLock(folder, "a run"):
            pass


def test_a_moved_folder_is_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with FolderLock(tmp_path / "old", "a run"):
        (tmp_path / "old").rename(tmp_path / "new")
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / ".lock").write_text("another's")
    assert (tmp_path / "old" / ".lock").read_text() == "another's"
