"""Files in and out for ``compress`` and ``decompress``: what is refused, what is left behind, and what goes on."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from charloom.cli import screen
from charloom.errors import CharloomError, CompressedFileError, InputError, SettingsError
from charloom.io.atomic import whole_file
from charloom.text.sources import STANDARD_INPUT

SUFFIX = ".loom"

Progress: TypeAlias = Callable[[int], None]
"""Called with numbers of bytes done."""

Transform: TypeAlias = Callable[[BinaryIO, BinaryIO, Progress], None]
"""Reads the first to its end and writes the second; calls the last as it goes."""


@dataclass(frozen=True)
class FileOptions:
    """What the user said about files.

    Attributes:
        output: Where to; - for standard output; None for beside the input.
        remove: Delete each input when its output is in place.
        force: Overwrite, and do what is otherwise refused.
    """

    output: str | None
    remove: bool
    force: bool

    def check(self, files: Sequence[str]) -> None:
        """Raises SettingsError for what goes not together."""
        if not files:
            raise SettingsError("no file given: name one or more, or - for standard input")
        if self.output is not None and len(files) > 1:
            raise SettingsError(f"--output names one file, and {len(files)} are to be read: give one")
        if self.output == "":
            raise SettingsError("the name of the output is empty")
        if self.remove and self.output == STANDARD_INPUT:
            raise SettingsError("--remove goes with an output in a file")


def each_file(files: Sequence[str], work: Callable[[str], None]) -> int:
    """Runs ``work`` on each file. An error is shown and does not keep the others from being done.

    Returns the exit status: 0, or the highest of any file, 1 if it failed and 2 if the options do not fit it.
    """
    status = 0
    for file in files:
        try:
            work(file)
        except BrokenPipeError:
            raise
        except CharloomError as error:
            screen.show_error(f"{shown(file)}: ", *error.parts)
            status = max(status, screen.exit_status(error))
        except OSError as error:
            place = "" if error.filename in (None, file) else f"{error.filename}: "
            screen.show_error(f"{shown(file)}: {place}{(error.strerror or str(error)).lower()}")
            status = max(status, 1)
    return status


def shown(file: str) -> str:
    """A file's name for messages."""
    return "standard input" if file == STANDARD_INPUT else file


@contextlib.contextmanager
def opened(file: str) -> Iterator[tuple[io.BufferedReader, os.stat_result | None]]:
    """The input, and what the file system says of it; None for standard input. Refuses folders and devices."""
    if file == STANDARD_INPUT:
        if getattr(sys.stdin, "name", None) == os.devnull:
            raise InputError("it is closed: there is nothing to read")
        yield sys.stdin.buffer, None  # type: ignore[misc] # it is one
        return
    try:
        status = Path(file).stat()
    except ValueError as error:  # a NUL in the name
        raise InputError(str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("a folder; name its files")
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise InputError("a device, not a file; - is standard input")
    with Path(file).open("rb") as stream:
        yield stream, status


def write(
    stream: BinaryIO,
    status: os.stat_result | None,
    target: str,
    options: FileOptions,
    transform: Transform,
    progress: Progress,
) -> None:
    """Runs the transform on an open input, to the target's name: whole or not at all."""
    if target == STANDARD_INPUT:
        with _standard_output() as output:
            transform(stream, output, progress)
        return
    path = Path(target)
    there = _status(path)
    if there is not None:
        if stat.S_ISDIR(there.st_mode):
            raise InputError(f"{target} is a folder: name a file")
        if status is not None and os.path.samestat(there, status):
            raise InputError("the input is the output")
        if not stat.S_ISREG(there.st_mode):  # /dev/null, a named pipe: there is nothing to put in place
            if options.remove:
                raise InputError(f"--remove goes with an output in a file, and {target} is none")
            with path.open("wb") as direct:
                transform(stream, direct, progress)
            return
        if not options.force:
            raise InputError(f"{target} is there already: --force overwrites it")
    with whole_file(path, overwrite=options.force, like=status) as file:
        transform(stream, file, progress)


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Where all is written or an error is raised, once.

    Unbuffered, Python's own would leave out what does not fit; buffered, it would fail again with that as it is closed.
    """
    out = screen.output()
    out.flush()
    try:
        buffered = open(out.fileno(), "wb", closefd=False)  # noqa: SIM115
    except io.UnsupportedOperation:  # a stand-in that is in memory
        yield out.buffer
        return
    try:
        yield buffered
        buffered.flush()
    finally:
        with contextlib.suppress(OSError):
            buffered.close()


def remove_input(file: str, options: FileOptions, status: os.stat_result | None) -> None:
    """Where that was asked for, and the file is what was read. status: that of before."""
    if not options.remove or file == STANDARD_INPUT or status is None:
        return
    now = Path(file).stat()
    if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise InputError("it changed while it was read, and is kept: its output may hold some of both")
    Path(file).unlink()


@contextlib.contextmanager
def progress_bar(file: str, total: int | None) -> Iterator[Progress]:
    """Counts bytes towards a bar on the terminal."""
    done = 0
    with screen.reading_progress(screen.printable(Path(shown(file)).name)) as show:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            show(done, total or None)

        yield advance


class Counted(io.RawIOBase):
    """A stream that counts what is read of it."""

    def __init__(self, stream: BinaryIO, count: Progress) -> None:
        self._stream = stream
        self._count = count

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As the stream gives it."""
        data = self._stream.read(size)
        self._count(len(data))
        return data


def output_name(file: str, options: FileOptions, name: Callable[[str], str]) -> str:
    """The target of an input: as asked, standard output for standard input, else by ``name``."""
    if options.output is not None:
        return options.output
    return STANDARD_INPUT if file == STANDARD_INPUT else name(file)


def without_suffix(file: str) -> str:
    """The name of what was compressed. Raises CompressedFileError where the name does not tell."""
    if not file.endswith(SUFFIX) or Path(file).name == SUFFIX:
        raise CompressedFileError(f"its name does not end in {SUFFIX}: say with --output where to")
    return file.removesuffix(SUFFIX)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except ValueError as error:
        raise InputError(str(error)) from None
    except FileNotFoundError:
        return None
