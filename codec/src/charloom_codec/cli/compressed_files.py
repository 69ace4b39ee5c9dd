"""Input and output files of ``compress`` and ``decompress``: checks, atomic writes, and errors file by file."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from charloom_codec.cli import screen
from charloom_codec.cli.file_options import FileOptions
from charloom_codec.errors import CharloomError, InputError, describe_os_error, pluralize
from charloom_codec.io.atomic import atomic_file
from charloom_codec.io.standard_streams import STANDARD_INPUT

Transform: TypeAlias = Callable[[io.BufferedReader, BinaryIO, Callable[[object], None]], None]
"""Function that reads a source to its end, writes a target, and calls a progress function after each part."""


def transform_each_file(
    files: Sequence[str], transform: Transform, options: FileOptions, name: Callable[[str], str], *, force: bool
) -> int:
    """Transforms each file. An error is reported, and the next file is transformed.

    Args:
        files: Input files; ``-`` for standard input.
        transform: Function that compresses or decompresses a stream.
        options: Options of the command.
        name: Function that returns the name of the output file for that of an input file.
        force: Overwrite existing files.

    Returns:
        Exit status: the highest of all files; that of a file is 0 if it succeeded, 1 if it failed, and 2 if an option
        is not valid for it.
    """
    status = 0
    for file in files:
        with report_errors(file) as outcome:
            # Within the with block: name() raises an error for a wrong suffix, which must not stop the other files.
            target = options.output or (STANDARD_INPUT if options.stdout or file == STANDARD_INPUT else name(file))
            _transform(file, target, transform, options, force=force)
        # The highest status, so that a later success does not hide a failure.
        status = max(status, outcome.status)
    return status


@dataclass
class Outcome:
    """The outcome of a file.

    Attributes:
        status: Exit status: 0 if it succeeded, 1 if it failed, 2 if an option is not valid for it.
    """

    status: int = 0


@contextlib.contextmanager
def report_errors(file: str) -> Iterator[Outcome]:
    """Reports an error of the block in one line with the name of the file, so that the next file can follow."""
    outcome = Outcome()
    try:
        yield outcome
    except BrokenPipeError:
        raise  # standard output is closed: no other file could be written there either
    except CharloomError as error:
        screen.show_error(f"{describe_file(file)}: ", *error.parts)
        outcome.status = screen.exit_status(error)
    except OSError as error:
        place = "" if error.filename in (None, file) else f"{error.filename}: "
        screen.show_error(f"{describe_file(file)}: {place}{describe_os_error(error)}")
        outcome.status = 1


def _transform(file: str, target: str, transform: Transform, options: FileOptions, *, force: bool) -> None:
    """Transforms a file to a target, which is complete or absent afterwards."""
    with (
        open_input(file) as (stream, status),
        _show_progress(file, options) as show,
        _open_target(target, status, remove=options.remove, force=force) as target_stream,
    ):
        size = status.st_size if status else 0
        # A file in /proc has the size 0 although it has contents: the progress bar then has no total.
        transform(stream, target_stream, lambda _: show(stream.tell() if size else 0, size or None))
        sizes = [one.tell() if one.seekable() else None for one in (stream, target_stream)]
    if options.verbose:
        done = "intact" if options.test else _describe_sizes(target, *sizes)
        screen.messages().print(screen.printable_name(f"{describe_file(file)}: {done}"))
    # After the with block: the output is complete under its name before the input is deleted.
    if options.remove and status is not None:
        # Deleting a file that another process wrote to meanwhile would lose data.
        current = Path(file).stat()
        is_same = os.path.samestat(current, status)
        if not is_same or (current.st_size, current.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise InputError(
                "the file changed while it was being read, so it was not deleted, and the output may mix both "
                "versions; run the command again"
            )
        Path(file).unlink()


def _show_progress(file: str, options: FileOptions) -> AbstractContextManager[Callable[..., None]]:
    if options.quiet:
        return contextlib.nullcontext(lambda *_: None)
    return screen.reading_progress(screen.printable(Path(describe_file(file)).name))


def _describe_sizes(target: str, read: int | None, written: int | None) -> str:
    """Returns the text that ``--verbose`` shows: the output and, if they are known, the sizes and their ratio."""
    output = "standard output" if target == STANDARD_INPUT else target
    if not read or not written or target == STANDARD_INPUT:
        return output
    return f"{read:,} -> {pluralize(written, 'byte')}, ratio {max(read, written) / min(read, written):.3f}, {output}"


def describe_file(file: str) -> str:
    """Returns the name of a file for messages."""
    return "standard input" if file == STANDARD_INPUT else file


@contextlib.contextmanager
def open_input(file: str) -> Iterator[tuple[io.BufferedReader, os.stat_result | None]]:
    """Opens an input file. Yields its stream and its status, which is None for standard input.

    Raises:
        InputError: The file is a folder or a device, or standard input is closed.
    """
    if file == STANDARD_INPUT:
        # command_line.py replaces a stream that the shell closed with the null device.
        if getattr(sys.stdin, "name", None) == os.devnull:
            raise InputError("standard input is closed: pass a file")
        yield sys.stdin.buffer, None  # type: ignore[misc] # typed as BinaryIO, but a BufferedReader
        return
    status = Path(file).stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputError("this is a folder; pass a file in it, or use --recursive")
    # Reading a device such as /dev/zero would never end.
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise InputError("this is a device: pass a file, or - for standard input")
    with Path(file).open("rb") as stream:
        yield stream, status


def _open_target(
    target: str, source: os.stat_result | None, *, remove: bool, force: bool
) -> AbstractContextManager[BinaryIO]:
    """Opens the target for writing: standard output, a pipe or device, or a file that is renamed when complete."""
    if target == STANDARD_INPUT:  # "-" means standard output for a target
        return _open_standard_output()
    path = Path(target)
    with contextlib.suppress(FileNotFoundError):
        existing = path.stat()
        if stat.S_ISDIR(existing.st_mode):
            raise InputError(f"{target} is a folder: choose a file with --output")
        if source is not None and os.path.samestat(existing, source):
            raise InputError("input and output are the same file: choose another file with --output")
        # /dev/null or a named pipe: an atomic write would replace it with a regular file.
        if not stat.S_ISREG(existing.st_mode):
            if remove:
                raise InputError(f"{target} is not a regular file, but --remove requires one as output: omit --remove")
            return path.open("wb")
        if not force:
            raise InputError(f"{target} already exists: use --force to overwrite it")
    return atomic_file(path, overwrite=force, like=source)


@contextlib.contextmanager
def _open_standard_output() -> Iterator[BinaryIO]:
    """Opens standard output so that a full disk raises one error. Yields the stream."""
    # sys.stdout.buffer is not used: with PYTHONUNBUFFERED its write() may write a part only, without an error, and
    # otherwise it keeps what it cannot write and fails a second time when Python closes it at exit.
    out = screen.output()
    out.flush()
    try:
        buffered = open(out.fileno(), "wb", closefd=False)  # noqa: SIM115
    except io.UnsupportedOperation:  # a stream in memory, as in tests, has no file descriptor
        yield out.buffer
        return
    try:
        yield buffered
        buffered.flush()
    finally:
        with contextlib.suppress(OSError):
            buffered.close()
