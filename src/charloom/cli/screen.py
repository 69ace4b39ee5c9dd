"""What all commands print with: results on standard output, everything else on standard error."""

import contextlib
import errno
import os
import shlex
import sys
import unicodedata
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from charloom.errors import Argument, CharloomError, CharloomWarning, InputError, Part, SettingsError, format_parts

_READER_HAS_GONE = (errno.EPIPE, errno.EIO)
"""Error numbers of a closed pipe and of a closed terminal."""
_DEFAULT_WIDTH = 80
"""Of a terminal, where one says that it has none (COLUMNS=0)."""
_BAR_WITH_FIGURES = 104
"""Columns."""
_WIDE = 100_000
"""Columns of what is not a terminal: nothing is cut there."""


def output() -> TextIO:
    """Standard output, for a command whose result is what it prints. Raises InputError if the shell closed it."""
    if getattr(sys.stdout, "name", None) == os.devnull:  # what app.py puts in the place of a closed stream
        raise InputError("standard output is closed")
    return sys.stdout


def results() -> Console:
    """The console on ``output``: a closed pipe ends the command."""
    return _console(output())


def log() -> Console:
    """The console on standard output, of a command whose result is a file: the work continues if nobody reads this."""
    return _console(_Lasting(sys.stdout))


def help_console() -> Console:
    """The console for the help, as wide as the terminal."""
    return _Console(width=None if _Console().width > 0 else _DEFAULT_WIDTH)


def messages() -> Console:
    """The console on standard error. Nothing depends on whether anybody reads it."""
    return _console(_Lasting(sys.stderr))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process by itself."""
        raise  # rich calls this where it caught the error


class _Lasting:
    """A stream that can still be written to when its reader has gone: what is written is then discarded."""

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
            if error.errno not in _READER_HAS_GONE:
                raise
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Sends to nowhere what the stream still holds, and all that is written to it from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _console(stream: "TextIO | _Lasting") -> Console:
    return _Console(
        file=cast(TextIO, stream),
        width=None if stream.isatty() else _WIDE,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
    )


def as_option(argument: Argument) -> str:
    """An argument that a message mentions, as a shell takes it: ``--num-steps``, ``--unit byte``, ``--decimal ','``."""
    name = argument.name.replace("_", "-")
    if argument.value is False:
        return f"--no-{name}"
    named_only = argument.value is ... or argument.value is True
    return f"--{name}" if named_only else f"--{name} {shlex.quote(str(argument.value))}"


def show_error(*message: Part) -> None:
    """Shows one line on standard error, with arguments as options."""
    _say(f"charloom: error: {_one_line(in_words(message))}")


def exit_status(error: CharloomError) -> int:
    """2 if an argument is wrong, 1 if the work failed."""
    return 2 if isinstance(error, SettingsError) or error.setting is not None else 1


def in_words(message: Iterable[Part]) -> str:
    """A message of the library with arguments as options."""
    return format_parts(message, as_option)


def _say(line: str) -> None:
    """On standard error; there is no place to say that it cannot be written."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)  # noqa: T201


def show_warnings_in_one_line() -> None:
    """Makes charloom's warnings notes to the user; those of libraries stay as they are."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: object, **named: object) -> None:
        if issubclass(category, CharloomWarning):
            parts = message.parts if isinstance(message, CharloomWarning) else (str(message),)
            _say(f"charloom: note: {_one_line(in_words(parts))}")
        else:
            usual(message, category, *rest, **named)  # type: ignore[arg-type]

    warnings.simplefilter("always", CharloomWarning)
    warnings.showwarning = show


def printable(text: str) -> str:
    """The text with control characters made visible, so that no model can steer the terminal; any line end is one."""
    text = text.replace("\r\n", "\n")
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else f"\\x{ord(char):02x}"
        for char in text
    )


def show_table(
    console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Container[int] = (0,)
) -> None:
    """Shows a table. ``texts`` are the numbers of the columns that hold no numbers, and are flush left."""
    table = Table(box=None, pad_edge=False, show_header=any(headings), padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number in texts else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


@contextmanager
def reading_progress(description: str) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error, gone when the work is done. Yields what shows how much is done, and of what."""
    with work_progress(messages(), "{task.description}") as progress:

        def show(done: float, total: float | None = 1.0) -> None:
            if not progress.tasks:
                progress.add_task(description)
            progress.update(progress.task_ids[0], completed=done, total=total)

        yield show


def is_narrow(console: Console) -> bool:
    """Whether a bar with all its figures has no room in a line."""
    return console.width < _BAR_WITH_FIGURES


def work_progress(
    console: Console, counted: str, *, figures: bool = False, refreshes_per_second: float = 10
) -> Progress:
    """A progress bar for minutes of work, with the time that is left; on a terminal only, and gone at the end.

    counted: What stands before the bar, in rich's words. figures: Whether tasks have a field of that name to show.
    """
    return Progress(
        TextColumn(counted, markup=False),
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
        disable=not console.is_terminal,
        refresh_per_second=refreshes_per_second,
    )


def _one_line(message: str) -> str:
    return " ".join(printable(message).split())
