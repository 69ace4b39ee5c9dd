"""Atomic writes: a file is complete or absent, for readers and after a crash."""

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
"""Names of hidden files: a dot, the name of the target, and random hexadecimal digits."""
_unfinished: set[Path] = set()
"""The hidden files of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unfinished.clear)  # a child must not remove its parent's files


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool = False, like: os.stat_result | None = None) -> Iterator[BinaryIO]:
    """Opens a hidden file, and renames it to its name when the block succeeds. After an error nothing is left.

    Args:
        path: Path of the file.
        overwrite: Replace an existing file.
        like: Status of a file whose permissions and times the new one gets. Default: those of any new file.

    Raises:
        InputError: The path exists, and ``overwrite`` is not set.
    """

    def refuse_existing() -> None:
        if not overwrite and (path.exists() or path.is_symlink()):
            raise InputError(
                f"{path}: the file already exists", hint=("use ", Argument("force", True), " to overwrite it")
            )

    refuse_existing()
    with _hidden_file(path) as (file, hidden):
        yield file
        _complete(path, file, hidden, like)
        # Checked again: another process may have created the file while this one was written.
        refuse_existing()
        _rename_to_target(hidden, path)


def write_atomically(contents: dict[Path, bytes], *, remove: Sequence[Path] = ()) -> None:
    """Writes files that belong together: all are complete before the first is renamed to its name.

    Args:
        contents: Content of each file, in the order in which the files are renamed.
        remove: Files of the previous state, which are removed when the new ones are complete.
    """
    with contextlib.ExitStack() as stack:
        complete = []
        for path, data in contents.items():
            file, hidden = stack.enter_context(_hidden_file(path))
            with _set_error_file(path):
                file.write(data)
            _complete(path, file, hidden)
            complete.append((hidden, path))
        for old in remove:
            old.unlink(missing_ok=True)
        for hidden, path in complete:
            _rename_to_target(hidden, path)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Removes the hidden files of killed processes from a folder, for targets whose names match a pattern."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            found = _HIDDEN.fullmatch(file.name)
            if found and names.fullmatch(found[1]):
                file.unlink(missing_ok=True)


def remove_unfinished() -> None:
    """Removes the hidden files of this process. For an exit by ``os._exit``, which runs no cleanup."""
    for hidden in list(_unfinished):
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)


@contextlib.contextmanager
def _hidden_file(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Creates a hidden file beside the target, readable by its owner only, and removes it unless it was renamed."""
    # A name has at most 255 bytes, and a character up to four. A rename works within one file system only.
    hidden = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}")
    _unfinished.add(hidden)  # before it exists: a signal may come between any two steps
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with _set_error_file(target):
            file = os.fdopen(os.open(hidden, flags, 0o600), "wb")
        try:
            yield file, hidden
        finally:
            # After an error, close() writes the buffer, which fails again if the disk is full.
            with contextlib.suppress(OSError):
                file.close()
    finally:
        with contextlib.suppress(OSError):  # an earlier error is more informative
            hidden.unlink()
        _unfinished.discard(hidden)


def _complete(target: Path, file: BinaryIO, hidden: Path, like: os.stat_result | None = None) -> None:
    """Writes the content to the disk and sets the permissions; the file keeps its hidden name."""
    with _set_error_file(target), file:
        file.flush()
        # Without it, a power failure after the rename could leave an empty file under the final name.
        os.fsync(file.fileno())
    if like is None:
        # The umask can be read only by setting it.
        os.umask(mask := os.umask(0))
        hidden.chmod(0o666 & ~mask)
    else:
        # Setuid, setgid and sticky bits are not copied.
        hidden.chmod(stat.S_IMODE(like.st_mode) & 0o777)
        os.utime(hidden, ns=(like.st_atime_ns, like.st_mtime_ns))


def _rename_to_target(hidden: Path, target: Path) -> None:
    hidden.replace(target)
    # Writes the new name to the disk, too, on systems that support it. The file has its name in any case.
    with contextlib.suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _set_error_file(target: Path) -> Iterator[None]:
    """Sets the file name of an OSError to the target."""
    # Otherwise it would name the hidden file, or no file, as the error for a full disk does.
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise
