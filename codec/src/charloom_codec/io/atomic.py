"""Atomic writes: a file is complete or absent, for readers and after a crash."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from charloom_codec.errors import Argument, InputError

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}")
"""Names of temporary files: a dot, the start of the target's name, a dot, and random hexadecimal digits."""
_unfinished: set[Path] = set()
"""The temporary files of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unfinished.clear)  # a child must not remove its parent's files


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool = False, like: os.stat_result | None = None) -> Iterator[BinaryIO]:
    """Opens a temporary file beside the target. Renames it over the target when the block succeeds.

    After an error the temporary file is removed, and the target is unchanged. This is not a lock: a file that another
    process creates during the rename is replaced.

    Args:
        path: Path of the target.
        overwrite: Replace an existing file.
        like: Status of a file whose permissions and times the new one gets. Default: those of any new file.

    Raises:
        InputError: The path exists, before the block or after it, and ``overwrite`` is not set.
    """

    def refuse_existing() -> None:
        if not overwrite and (path.exists() or path.is_symlink()):
            raise InputError(
                f"{path}: the file already exists", hint=("use ", Argument("force", True), " to overwrite it")
            )

    refuse_existing()
    with _temporary_file(path) as (file, temporary):
        yield file
        _sync_and_close(path, file, temporary, like)
        # Checked again: another process may have created the file while this one was written.
        refuse_existing()
        _rename_to_target(temporary, path)


def write_atomically(contents: dict[Path, bytes], *, remove: Sequence[Path] = ()) -> None:
    """Writes files that belong together, over existing ones: all are on disk before the first is renamed to its target.

    A reader between two renames sees a new and an old file.

    Args:
        contents: Content of each file, in the order in which the files are renamed.
        remove: Files of the previous state, removed after all content is on disk, before the first rename.
    """
    with contextlib.ExitStack() as stack:
        complete = []
        for path, data in contents.items():
            file, temporary = stack.enter_context(_temporary_file(path))
            with _set_error_file(path):
                file.write(data)
            _sync_and_close(path, file, temporary)
            complete.append((temporary, path))
        for old in remove:
            old.unlink(missing_ok=True)
        for temporary, path in complete:
            _rename_to_target(temporary, path)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Removes the temporary files of targets whose names match a pattern, as killed processes leave them.

    Call it under the folder's lock: those of a running process are removed too.
    """
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            found = _TEMPORARY.fullmatch(file.name)
            if found and names.fullmatch(found[1]):
                file.unlink(missing_ok=True)


def remove_unfinished() -> None:
    """Removes the temporary files of this process. For an exit by ``os._exit``, which runs no cleanup."""
    for temporary in list(_unfinished):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary_file(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Creates a temporary file beside the target, readable by its owner only, and removes it unless it was renamed."""
    # A name has at most 255 bytes, and a character up to four. A rename works within one file system only.
    temporary = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}")
    _unfinished.add(temporary)  # before it exists: a signal may come between any two steps
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with _set_error_file(target):
            file = os.fdopen(os.open(temporary, flags, 0o600), "wb")
        try:
            yield file, temporary
        finally:
            # After an error, close() writes the buffer, which fails again if the disk is full.
            with contextlib.suppress(OSError):
                file.close()
    finally:
        with contextlib.suppress(OSError, ValueError):  # an earlier error is more informative; a NUL in the name
            temporary.unlink()
        _unfinished.discard(temporary)


def _sync_and_close(target: Path, file: BinaryIO, temporary: Path, like: os.stat_result | None = None) -> None:
    """Flushes, syncs and closes the file, then sets its permissions, and its times if ``like`` is given."""
    with _set_error_file(target), file:
        file.flush()
        # Without it, a power failure after the rename could leave an empty file under the final name.
        os.fsync(file.fileno())
    if like is None:
        # The umask can be read only by setting it.
        os.umask(mask := os.umask(0))
        temporary.chmod(0o666 & ~mask)
    else:
        # Setuid, setgid and sticky bits are not copied.
        temporary.chmod(stat.S_IMODE(like.st_mode) & 0o777)
        os.utime(temporary, ns=(like.st_atime_ns, like.st_mtime_ns))


def _rename_to_target(temporary: Path, target: Path) -> None:
    temporary.replace(target)
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
    # Otherwise it would name the temporary file, or no file, as the error for a full disk does.
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise
