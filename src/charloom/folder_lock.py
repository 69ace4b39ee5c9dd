"""One process at a time in a folder. A lock is freed by the system however its process ends: none is left behind."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from charloom.errors import ModelFolderError

_FILE = ".lock"


class FolderLock:
    """Held while entered. A hidden file in the folder, gone with it.

    Where there are no such locks (Windows, some file systems of networks) it holds nobody off.
    """

    def __init__(self, folder: Path, user: str) -> None:
        """Args: folder: It must be there. user: What it is that works there, for whom it keeps out."""
        self._path = folder / _FILE
        self._user = user
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Raises ModelFolderError where another process has it, OSError where the folder cannot be written to."""
        try:
            import fcntl
        except ImportError:
            return
        while self._file is None:
            file = self._open()
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise ModelFolderError(
                    f"{self._path.parent}: {self._user} is at work there: wait for it, or stop it"
                ) from None
            except OSError:
                pass  # nothing is locked on this file system
            if _is_still(file, self._path):
                self._file = file
            else:
                file.close()  # that of a process which just ended, and removed it

    def _open(self) -> BinaryIO:
        """Neither through a link nor to its harm: whoever made the folder may have put one there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        return os.fdopen(os.open(self._path, flags, 0o666), "rb")

    def __enter__(self) -> "FolderLock":
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Lets others in; nothing where it is not held."""
        if self._file is not None:
            if _is_still(self._file, self._path):
                with contextlib.suppress(OSError):
                    self._path.unlink()
            self._file.close()
            self._file = None


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Whether the path leads to this very file."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
