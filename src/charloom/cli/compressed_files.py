"""Files in and out for ``compress`` and ``decompress``: what is refused, what is left behind, and what goes on."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.options import Flag, OutputFile
from charloom.errors import CharloomError, CompressedFileError, InputError, SettingsError
from charloom.io.atomic import atomic_file
from charloom.text.sources import STANDARD_INPUT

SUFFIX = ".loom"

Transform: TypeAlias = Callable[[io.BufferedReader, BinaryIO, Callable[[object], None]], None]
"""Reads the first to its end and writes the second; calls the last now and then, to show how much is read."""


@dataclass(frozen=True)
class FileOptions:
    """Options of both commands.

    Attributes:
        output: Where to write; - for standard output. With one file only.
        keep: Keep the input: the default, accepted as other compressors need it said.
        remove: Delete each input when its output is in place.
        threads: How many at once, each with its own memory. The output is the same for any number. Default: 2, 1 on one
            core.
    """

    output: OutputFile = None
    keep: Annotated[Flag, Parameter(name=["--keep", "-k"])] = False
    remove: Flag = False
    threads: int | None = None

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
        if self.keep and self.remove:
            raise SettingsError("--keep and --remove contradict each other: give one")


def each_file(
    files: Sequence[str], transform: Transform, options: FileOptions, name: Callable[[str], str], *, force: bool
) -> int:
    """Transforms each file to the one of its ``name``. An error is shown and does not keep the others from being done.

    Returns the exit status: 0, or the highest of any file, 1 if it failed and 2 if the options do not fit it.
    """
    status = 0
    for file in files:
        try:
            target = options.output or (STANDARD_INPUT if file == STANDARD_INPUT else name(file))
            _transform(file, target, transform, remove=options.remove, force=force)
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


def _transform(file: str, target: str, transform: Transform, *, remove: bool, force: bool) -> None:
    """To the target's name: whole or not at all."""
    with (
        opened(file) as (stream, status),
        screen.reading_progress(screen.printable(Path(shown(file)).name)) as show,
        _opened_target(target, status, remove=remove, force=force) as to,
    ):
        size = status.st_size if status else 0
        transform(stream, to, lambda _: show(stream.tell() if size else 0, size or None))
    if remove and status is not None:
        now = Path(file).stat()
        if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise InputError("it changed while it was read, and is kept: its output may hold some of both")
        Path(file).unlink()


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
    status = Path(file).stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputError("a folder; name its files")
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise InputError("a device, not a file; - is standard input")
    with Path(file).open("rb") as stream:
        yield stream, status


def _opened_target(
    target: str, source: os.stat_result | None, *, remove: bool, force: bool
) -> AbstractContextManager[BinaryIO]:
    if target == STANDARD_INPUT:
        return _standard_output()
    path = Path(target)
    with contextlib.suppress(FileNotFoundError):
        there = path.stat()
        if stat.S_ISDIR(there.st_mode):
            raise InputError(f"{target} is a folder: name a file")
        if source is not None and os.path.samestat(there, source):
            raise InputError("the input is the output")
        if not stat.S_ISREG(there.st_mode):  # /dev/null, a named pipe: there is nothing to put in place
            if remove:
                raise InputError(f"--remove goes with an output in a file, and {target} is none")
            return path.open("wb")
        if not force:
            raise InputError(f"{target} is there already: --force overwrites it")
    return atomic_file(path, overwrite=force, like=source)


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


def without_suffix(file: str) -> str:
    """The name of what was compressed. Raises CompressedFileError if the name does not tell."""
    if not file.endswith(SUFFIX) or Path(file).name == SUFFIX:
        raise CompressedFileError(f"its name does not end in {SUFFIX}: say with --output where to")
    return file.removesuffix(SUFFIX)
