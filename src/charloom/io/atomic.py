"""Files that are written whole or not at all, so that no reader, and no crash, meets half of one."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from charloom.errors import Argument, InputError

_HIDDEN = re.compile(r"\.(.+)\.[0-9a-f]{8}")
"""Names of hidden files, of which the middle is the target's."""
_unfinished: set[Path] = set()
"""The hidden files of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unfinished.clear)  # they are the parent's


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool = False, like: os.stat_result | None = None) -> Iterator[BinaryIO]:
    """A file that appears under its name, complete and on the disk, when the ``with`` ends well; else nothing is left.

    Raises InputError for a path that exists, unless ``overwrite``. like: Give the file this one's permissions and
    times. Default: as any new file's.
    """

    def refuse_existing() -> None:
        if not overwrite and (path.exists() or path.is_symlink()):
            raise InputError(f"{path}: there is a file already", hint=(Argument("force", True), " overwrites it"))

    refuse_existing()
    with _hidden_file(path) as (file, hidden):
        yield file
        _complete(path, file, hidden, like)
        refuse_existing()
        _put_in_place(hidden, path)


def write_atomically(contents: dict[Path, bytes], *, remove: Sequence[Path] = ()) -> None:
    """Writes files that belong together: all are complete before any is put in place, in this order.

    remove: Files that belong to what is replaced, and go when the new ones are complete.
    """
    with contextlib.ExitStack() as stack:
        complete = []
        for path, data in contents.items():
            file, hidden = stack.enter_context(_hidden_file(path))
            with _errors_naming(path):
                file.write(data)
            _complete(path, file, hidden)
            complete.append((hidden, path))
        for old in remove:
            old.unlink(missing_ok=True)
        for hidden, path in complete:
            _put_in_place(hidden, path)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Removes what a process left that was killed while it wrote here: the hidden files of targets of these names."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            found = _HIDDEN.fullmatch(file.name)
            if found and names.fullmatch(found[1]):
                file.unlink(missing_ok=True)


def remove_unfinished() -> None:
    """Removes the hidden files of this process, for one that ends without leaving its ``with`` statements."""
    for hidden in list(_unfinished):
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)


@contextlib.contextmanager
def _hidden_file(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Creates a file in the target's folder, accessible to its owner only; removes it unless it was put in place."""
    # A character takes up to four bytes, and a name up to 255.
    hidden = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}")
    _unfinished.add(hidden)  # before it exists: a signal may come between any two steps
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with _errors_naming(target):
            file = os.fdopen(os.open(hidden, flags, 0o600), "wb")
        try:
            yield file, hidden
        finally:
            # What is buffered is not wanted, and may be what the disk has no room for.
            with contextlib.suppress(OSError):
                file.close()
    finally:
        with contextlib.suppress(OSError):  # an error before this one says more
            hidden.unlink()
        _unfinished.discard(hidden)


def _complete(target: Path, file: BinaryIO, hidden: Path, like: os.stat_result | None = None) -> None:
    """Puts the content on the disk, though not yet under its name."""
    with _errors_naming(target), file:
        file.flush()
        os.fsync(file.fileno())
    if like is None:
        os.umask(mask := os.umask(0))
        hidden.chmod(0o666 & ~mask)
    else:
        hidden.chmod(stat.S_IMODE(like.st_mode) & 0o777)
        os.utime(hidden, ns=(like.st_atime_ns, like.st_mtime_ns))


def _put_in_place(hidden: Path, target: Path) -> None:
    hidden.replace(target)
    # Makes the new name as lasting as the content, on systems that can. The file is in place either way.
    with contextlib.suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _errors_naming(target: Path) -> Iterator[None]:
    """Sets the file name of an OSError to the target."""
    # Otherwise it would name the hidden file, or no file, as the error for a full disk does.
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise
