"""Locks that admit one process at a time to a folder or a file.

The system frees them when the process ends, even if it is killed.
"""

import contextlib
import errno
import os
from pathlib import Path

from filelock import FileLock, Timeout

from charloom.errors import ModelFolderError

# Error numbers of file systems without locks, on which charloom works without them.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}

_PATIENCE = 0.2
"""Seconds to wait for a lock: ``is_held`` of another process holds it for a moment."""


class FolderLock(contextlib.AbstractContextManager["FolderLock"]):
    """A lock on a folder, held inside a ``with`` block: a hidden file that is removed on release.

    On a file system without locks (some network file systems) it excludes no other process.
    """

    _taken: os.stat_result | None = None

    def __init__(
        self, folder: Path, user: str, *, name: str = ".lock", wait: bool = False, file: Path | None = None
    ) -> None:
        """Initializes the lock without acquiring it.

        Args:
            folder: Existing folder to lock.
            user: Description of the lock's holder, for the error that another process gets.
            name: Name of the lock file. Another name locks one purpose instead of the whole folder.
            wait: Wait until the lock is free instead of raising an error.
            file: File that the error names, if the lock is on a single file instead of the folder.
        """
        self._path = folder / name
        self._conflict = f"{file or folder}: {user} is using this {'file' if file else 'folder'}"
        # FileLock opens no link and no pipe of that name, which another user may have put into the folder.
        timeout = -1 if wait else _PATIENCE
        self._lock = FileLock(self._path, timeout, poll_interval=0.05, thread_local=False, fallback_to_soft=False)

    def take(self) -> None:
        """Acquires the lock. Raises ModelFolderError if it is held elsewhere, OSError if the folder is not writable."""
        try:
            self._lock.acquire()
        except Timeout:
            raise ModelFolderError(f"{self._conflict}: wait until it ends, or stop it") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            # release() compares it with the file, which may then belong to a new folder of the same name.
            self._taken = self._path.stat()

    @property
    def is_held(self) -> bool:
        """True if any process holds the lock now."""
        # Acquiring a lock creates its file; without one, no process holds it.
        if self._path.is_file():
            try:
                with self._lock.acquire(blocking=False):
                    pass
            except Timeout:
                return True
            except OSError:
                pass
        return False

    def __enter__(self) -> "FolderLock":
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Releases the lock; does nothing if it is not held."""
        if self._lock.is_locked:
            # filelock leaves the file. It is removed while it is locked, unless the folder was replaced meanwhile.
            with contextlib.suppress(OSError):
                if self._taken and os.path.samestat(self._taken, self._path.stat()):
                    self._path.unlink()
            self._lock.release()
