"""One process at a time in a folder. A lock is freed by the system however its process ends: none is left behind."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from charloom.errors import ModelFolderError

_FILE = ".lock"
_MOST_TRIES = 1000
"""Where one file is never the same twice, as some file systems have it, nobody is held off."""


class FolderLock:
    """Held while entered. A hidden file in the folder, gone with it.

    Where there are no such locks (Windows, some file systems of networks) it holds nobody off.
    """

    def __init__(self, folder: Path, user: str, *, name: str = _FILE, wait: bool = False) -> None:
        """Nothing is held yet.

        folder: It must be there. user: What it is that works there, for whom it keeps out. name: Of the file, where it
        is not for all of the folder. wait: Until it is free.
        """
        self._path = folder / name
        self._user, self._wait = user, wait
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Raises ModelFolderError where another process has it, OSError where the folder cannot be written to."""
        try:
            import fcntl
        except ImportError:
            return
        for _ in range(_MOST_TRIES):
            file = self._open()
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if self._wait else fcntl.LOCK_NB))
            except BlockingIOError:
                file.close()
                raise ModelFolderError(
                    f"{self._path.parent}: {self._user} is at work there: wait for it, or stop it"
                ) from None
            except OSError:
                pass  # nothing is locked on this file system
            except BaseException:
                file.close()
                raise
            if _is_still(file, self._path):
                self._file = file
                return
            file.close()  # that of a process which just ended, and removed it

    def _open(self) -> BinaryIO:
        """Neither through a link nor to its harm: whoever made the folder may have put one there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        return os.fdopen(os.open(self._path, flags, 0o666), "rb")

    @property
    def is_held(self) -> bool:
        """Tells if a process holds the lock now."""
        try:
            import fcntl

            with self._path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (ImportError, OSError):
            pass
        return False

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
