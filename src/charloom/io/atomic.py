"""Files that are written whole or not at all, so that no reader, and no crash, meets half of one."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}")


class WholeFile:
    """A file that appears under its name, complete and on the disk, when the ``with`` ends well; else nothing is left.

    What is written goes to a hidden file in the same folder, open to its owner alone until it is in place.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, like: os.stat_result | None = None) -> None:
        """Raises FileExistsError for a path that exists, unless told to overwrite it.

        like: Give the file this one's permissions and times. Default: as any new file's.
        """
        self._path = path
        self._overwrite = overwrite
        self._like = like
        self._is_complete = False
        self._temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
        self._refuse_existing()

    def __enter__(self) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with _errors_naming(self._path):
            self._file = os.fdopen(os.open(self._temporary, flags, 0o600), "wb")
        return self._file

    def complete(self) -> None:
        """Puts the content on the disk, though not yet under its name; it is closed then."""
        with _errors_naming(self._path), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._dress()
        self._is_complete = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                if not self._is_complete:
                    self.complete()
                self._refuse_existing()
                self._temporary.replace(self._path)
                _sync_folder(self._path.parent)
        finally:
            # What is buffered is not wanted, and may be what the disk has no room for.
            with contextlib.suppress(OSError):
                self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _refuse_existing(self) -> None:
        if not self._overwrite and (self._path.exists() or self._path.is_symlink()):
            raise FileExistsError(17, "there is a file already", str(self._path))

    def _dress(self) -> None:
        if self._like is None:
            self._temporary.chmod(_usual_mode())
            return
        self._temporary.chmod(stat.S_IMODE(self._like.st_mode) & 0o777)
        os.utime(self._temporary, ns=(self._like.st_atime_ns, self._like.st_mtime_ns))


def write_whole(contents: dict[Path, bytes], *, remove: Sequence[Path] = ()) -> None:
    """Writes files that belong together: all are complete before any is put in place.

    remove: Files that belong to what is replaced, and go when the new ones are complete.
    """
    with contextlib.ExitStack() as stack:
        # The stack closes them, and so puts them in place, last to first.
        for path, data in reversed(contents.items()):
            file = WholeFile(path, overwrite=True)
            with _errors_naming(path):
                stack.enter_context(file).write(data)
            file.complete()
        for old in remove:
            old.unlink(missing_ok=True)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Removes what a process left that was killed while it wrote here: the hidden files of targets of these names."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            found = _TEMPORARY.fullmatch(file.name)
            if found and names.fullmatch(found[1]):
                file.unlink(missing_ok=True)


@contextlib.contextmanager
def _errors_naming(target: Path) -> Iterator[None]:
    """Errors name the file that the user knows: not the hidden one, and not none, as that of a full disk does."""
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Makes the new name as lasting as the content. The file is in place either way: not every system can do this."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
