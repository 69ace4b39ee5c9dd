"""Writing a file so that nobody ever meets half of it."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class WholeFile:
    """A file that appears under its name, complete, when the ``with`` ends well; else nothing of it is left.

    What is written goes to a hidden file in the same folder, open to its owner alone until it is in place.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, like: os.stat_result | None = None) -> None:
        """Raises FileExistsError for a path that exists, unless told to overwrite it.

        like: Give the file this one's permissions and times. Default: as any new file's.
        """
        self._path = path
        self._overwrite = overwrite
        self._like = like
        self._temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
        self._refuse_existing()

    def __enter__(self) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._file = os.fdopen(descriptor, "wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            with self._file:
                if error is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
                else:
                    # What is buffered is not wanted, and may be what the disk has no room for.
                    with contextlib.suppress(OSError):
                        self._file.close()
            if error is None:
                self._dress()
                self._refuse_existing()
                self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _refuse_existing(self) -> None:
        if not self._overwrite and (self._path.exists() or self._path.is_symlink()):
            raise FileExistsError(17, "there is a file already", str(self._path))

    def _dress(self) -> None:
        if self._like is None:
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o666 & ~mask)
            return
        self._temporary.chmod(stat.S_IMODE(self._like.st_mode) & 0o777)
        os.utime(self._temporary, ns=(self._like.st_atime_ns, self._like.st_mtime_ns))
