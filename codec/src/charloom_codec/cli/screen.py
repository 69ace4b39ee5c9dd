"""Consoles, tables, progress bars and error lines of all commands.

Results go to standard output, everything else to standard error.
"""

import contextlib
import errno
import os
import shlex
import sys
import unicodedata
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from charloom_codec.errors import (
    Argument,
    CharloomError,
    CharloomWarning,
    InputError,
    Part,
    SettingsError,
    format_parts,
    format_value,
)

_COMMANDS = {"RunPlan": "train"}
"""Commands by the function or class that takes their options in Python."""
_READER_HAS_GONE = (errno.EPIPE, errno.EIO)
"""Error numbers of a closed pipe and of a closed terminal."""
_MIN_HELP = 20
"""Minimum width of the help in columns: rich does not finish the layout of a table in two."""
_DEFAULT_WIDTH = 80
_BAR_WITH_FIGURES = 110  # columns of a progress bar with all its figures
_WIDE = 100_000
"""Width in columns of a file or pipe, so that no line is wrapped or truncated there."""


def output() -> TextIO:
    """Returns standard output, for a command that prints its result. Raises InputError if the shell closed it."""
    if getattr(sys.stdout, "name", None) == os.devnull:  # app.py replaces a closed stream with it
        raise InputError("standard output is closed: omit >&-, or write to a file")
    return sys.stdout


def results() -> Console:
    """Returns a console on standard output, for results: the command ends if the pipe is closed."""
    return _console(output())


def log() -> Console:
    """Returns a console on standard output, for a command that writes files: it continues if the pipe is closed."""
    return _console(_DiscardingStream(sys.stdout))


def help_console() -> Console:
    """Returns the console of the help, with a default width if the terminal or COLUMNS is very narrow."""
    return _Console(width=None if _Console().width >= _MIN_HELP else _DEFAULT_WIDTH)


def messages() -> Console:
    """Returns a console on standard error, for messages: the command continues if the pipe is closed."""
    return _console(_DiscardingStream(sys.stderr))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raises the error again; rich's method would exit the process."""
        raise  # rich calls this method in an except block, so that a bare raise has an exception


class _DiscardingStream:
    """A stream that discards text after its reader has closed it, instead of raising an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes to the stream, or discards the text if the reader has closed it. Raises OSError for other faults."""
        with self._discarding():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes the stream, unless the reader has closed it."""
        with self._discarding():
            self._stream.flush()

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # A full disk is an error, unlike a reader that needs no more text.
            if error.errno not in _READER_HAS_GONE:
                raise
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        # rich also needs attributes of the stream such as encoding and isatty.
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Discards the text that a stream has buffered, and all that is written to it later."""
    # Closing the stream would flush it, and fail again. Instead its file descriptor now refers to the null device.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _console(stream: "TextIO | _DiscardingStream") -> Console:
    # Markup and emoji codes are disabled: a text may contain [bold] or :smile:.
    return _Console(
        file=cast(TextIO, stream),
        width=None if stream.isatty() else _WIDE,
        markup=False,
        highlight=False,
        emoji=False,
        # A line is left to the terminal to wrap: line ends within a path could not be copied.
        soft_wrap=True,
    )


def as_option(argument: Argument) -> str:
    """Formats an argument in a message as an option: ``--num-steps``, ``--unit byte``, ``--decimal ','``."""
    name = argument.name.replace("_", "-")
    # An option of another command than the one that reports the error is shown with its command.
    command = "" if argument.function is None else f"charloom {_COMMANDS[argument.function]} "
    if argument.value is False:
        return f"{command}--no-{name}"
    if isinstance(argument.value, Mapping):  # --vary NAME=VALUE,VALUE
        lists = {key.replace("_", "-"): ",".join(map(format_value, found)) for key, found in argument.value.items()}
        return " ".join(f"{command}--{name} {_quote(f'{key}={values}')}" for key, values in lists.items())
    # ``...`` is the default of Argument, for a message that mentions the option without a value.
    named_only = argument.value is ... or argument.value is True
    return f"{command}--{name}" if named_only else f"{command}--{name} {_quote(str(argument.value))}"


def _quote(value: str) -> str:
    """Quotes a value as a shell does, and one that ends in punctuation, which would seem to belong to the sentence."""
    quoted = shlex.quote(value)
    return quoted if quoted[-1] == "'" or quoted[-1].isalnum() else f"'{quoted}'"


def path_argument(path: Path) -> str:
    """Returns a path as a shell takes it, and charloom as an argument that is not an option."""
    name = str(path)  # pathlib drops a leading "./", which distinguishes a name from an option
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


class _Program:
    """The program of this process, with the name that its messages start with."""

    name = "charloom"


def name_program(name: str) -> None:
    """Sets the name with which messages start."""
    _Program.name = name


def show_error(*message: Part) -> None:
    """Prints an error in one line on standard error, with arguments as options."""
    # In one line, so that scripts and logs can attribute it to the command.
    _print_message(f"{_Program.name}: error: {_one_line(in_words(message))}")


def exit_status(error: CharloomError) -> int:
    """Returns the exit status of an error: 2 if an argument is wrong, otherwise 1."""
    return 2 if isinstance(error, SettingsError) or error.setting is not None else 1


def in_words(message: Iterable[Part]) -> str:
    """Returns the text of a message of the library, with arguments as options."""
    return format_parts(message, as_option)


def _print_message(line: str) -> None:
    """Prints a line on standard error."""
    # A failure cannot be reported anywhere else.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)  # noqa: T201


def show_warnings_in_one_line() -> None:
    """Formats charloom's warnings in one line; those of other libraries are not changed."""
    show_other = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: object, **named: object) -> None:
        if issubclass(category, CharloomWarning):
            parts = message.parts if isinstance(message, CharloomWarning) else (str(message),)
            _print_message(f"{_Program.name}: warning: {_one_line(in_words(parts))}")
        else:
            show_other(message, category, *rest, **named)  # type: ignore[arg-type]

    # By default Python shows a warning once per line of code, though notes may be about different files.
    warnings.simplefilter("always", CharloomWarning)
    warnings.showwarning = show


def printable(text: str) -> str:
    """Returns a text with its control characters escaped and its line ends normalized to one newline."""
    # Generated text and file names may contain escape sequences, which would control the terminal.
    text = text.replace("\r\n", "\n")
    return "".join(
        # Cc: control characters; Cf: invisible ones, such as those that reverse text; Cs: not encodable.
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    """Returns the code of a character; of a byte of a file name that is not UTF-8, that byte."""
    # Python represents such a byte as a lone surrogate.
    return f"\\x{ord(char) - (0xDC00 if 0xDC80 <= ord(char) <= 0xDCFF else 0):02x}"


def printable_name(name: str) -> str:
    """Returns the name of a file for a line of output, with control characters and line ends escaped."""
    return printable(name).replace("\n", "\\n")


def show_table(
    console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Container[int] = (0,)
) -> None:
    """Prints a table.

    Args:
        console: Console to print to.
        headings: Headings of the columns; no heading row if all are empty.
        rows: Cells of each row.
        texts: Indices of the columns of text, which are left-justified; numbers are right-justified.
    """
    table = Table(box=None, pad_edge=False, show_header=any(headings), padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number in texts else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


@contextmanager
def reading_progress(description: str) -> Iterator[Callable[..., None]]:
    """Shows a progress bar on standard error during the block. Yields a function of the amount done and the total."""
    with work_progress(messages(), "{task.description}") as progress:

        def show(done: float, total: float | None = 1.0) -> None:
            if not progress.tasks:  # short work never calls this and shows no bar
                progress.add_task(description)
            progress.update(progress.task_ids[0], completed=done, total=total)

        yield show


def is_narrow(console: Console) -> bool:
    """Returns True if a progress bar with all its figures is wider than the console."""
    return console.width < _BAR_WITH_FIGURES


def work_progress(
    console: Console, counted: str, *, figures: bool = False, refreshes_per_second: float = 10
) -> Progress:
    """Returns a progress bar with the remaining time. It is shown on a terminal only, and removed at the end.

    Args:
        console: Console to show it on.
        counted: Text before the bar, a format string of rich.
        figures: Show the field ``figures`` of the tasks.
        refreshes_per_second: Number of redraws per second.
    """
    return Progress(
        TextColumn(counted, markup=False),
        # A shorter bar leaves the width to the figures.
        BarColumn(bar_width=6 if figures and is_narrow(console) else 24),
        TaskProgressColumn(),
        *(
            [TextColumn("{task.fields[figures]}", markup=False, table_column=Column(ratio=1, no_wrap=True))]
            if figures
            else []
        ),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # A log file would contain every redraw.
        disable=not console.is_terminal,
        refresh_per_second=refreshes_per_second,
    )


def _one_line(message: str) -> str:
    return " ".join(printable(message).split())
