"""The ``charloom`` command: its subcommands, and what happens when one of them fails."""

import difflib
import os
import re
import signal
import sys
from pathlib import Path
from typing import get_args

import cyclopts

from charloom.cli import screen, stopping
from charloom.cli.cache import cache
from charloom.cli.compress import compress
from charloom.cli.decompress import decompress
from charloom.cli.evaluate import evaluate
from charloom.cli.forecast import forecast
from charloom.cli.generate import generate
from charloom.cli.info import info
from charloom.cli.recipes import recipe_defaults, recipes
from charloom.cli.sweep import sweep
from charloom.cli.train import train
from charloom.errors import CharloomError
from charloom.text.sources import STANDARD_INPUT
from charloom.version import __version__

HELP = """Recurrent language models of your own text, on the CPU you have.

Train one, let it write, measure how surprising a text is to it, compress text with it:

    charloom train --output model
    charloom generate model --prefix "time traveller"
    charloom evaluate model FILE
    charloom compress FILE -m model

and forecast numbers with the same layers:

    charloom forecast FILE.csv --column NAME --horizon 24
"""


class PositionalWord(str):
    """A word after ``--``: no option, whatever it begins with."""

    __slots__ = ()


def refuse_wrong_words(_: cyclopts.App, __: tuple[str, ...], arguments: cyclopts.ArgumentCollection) -> None:
    """Refuses words that cyclopts would take for something else than was meant.

    An unknown option would be a positional argument, since these may be ``-`` for standard input; an empty path
    (``--output "$UNSET"``) the current folder; and a fraction would be rounded to a whole number.
    """
    options = [name for argument in arguments for name in argument.names if name.startswith("--")]
    for argument in arguments:
        kinds = (argument.hint, *get_args(argument.hint))
        for word in (token.value for token in argument.tokens):
            is_positional = not argument.name.startswith("-") and not isinstance(word, PositionalWord)
            if is_positional and word.startswith("-") and word != STANDARD_INPUT:
                near = difflib.get_close_matches(word.partition("=")[0], options, 1)
                hint = f"Did you mean {near[0]}?" if near else f"(A file of that name goes after --, or is ./{word}.)"
                raise cyclopts.CycloptsError(msg=f"Unknown option: {word}. {hint}")
            if Path in kinds and not word:
                raise cyclopts.CycloptsError(msg=f"{argument.name} is empty; the current folder is written as a dot.")
            if int in kinds and str not in kinds and "." in word:
                raise cyclopts.CycloptsError(msg=f"{word} for {argument.name} is not a whole number.")


app = cyclopts.App(
    name="charloom",
    help=HELP,
    help_format="markdown",
    version=__version__,
    suppress_keyboard_interrupt=False,
    config=(refuse_wrong_words, recipe_defaults),
)
for command in (train, sweep, generate, evaluate, compress, decompress, forecast, info, recipes, cache):
    app.command(command)


def run_command_line(arguments: list[str]) -> int:
    """Runs a command and returns its exit status; an error is shown in one line on standard error.

    0: done. 1: the work failed. 2: the call is wrong, an option or an argument must be changed. 128 + n: stopped by
    signal n.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # None where the shell closed it (<&-).
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its code instead of a crash.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    screen.show_warnings_in_one_line()
    try:
        result: object = app(
            _marked(arguments),
            console=screen.help_console(),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        screen.show_error(f"{error}; see charloom --help" if error.app is None else f"{error} (--help tells more)")
        return 2
    except CharloomError as error:
        screen.show_error(*error.parts)
        return screen.exit_status(error)
    except KeyboardInterrupt as stop:
        screen.show_error(stopping.MESSAGE)
        status = 128 + (stop.number if isinstance(stop, stopping.Stopped) else signal.SIGINT)
        stopping.exit_at_once(status)
        return status
    except BrokenPipeError:
        # Whoever read us has seen enough.
        return 0
    except OSError as error:
        screen.show_error(f"{error.filename + ': ' if error.filename else ''}{error.strerror or error}")
        return 1
    except (MemoryError, RuntimeError) as error:
        # PyTorch reports what it cannot allocate as a RuntimeError, and only the text tells.
        if isinstance(error, RuntimeError) and not re.search("allocate memory|out of memory", str(error)):
            raise
        screen.show_error("out of memory: lower --hidden-size, --batch-size or --num-steps, or read less text")
        return 1
    finally:
        _drop_what_cannot_be_written()
    return result if isinstance(result, int) else 0


def _marked(arguments: list[str]) -> list[str]:
    """The arguments with those after ``--`` marked as positional."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[: end + 1], *map(PositionalWord, arguments[end + 1 :])]


def _drop_what_cannot_be_written() -> None:
    """Python writes what it still has buffered at exit, and complains if nobody reads it, or the disk is full."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            screen.discard(stream)
