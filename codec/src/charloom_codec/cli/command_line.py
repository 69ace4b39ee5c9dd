"""A command line of several commands: checks of its arguments, reports of errors, and exit statuses."""

import difflib
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import cyclopts

from charloom_codec.cli import screen, stopping
from charloom_codec.cli.completion import split_install_completion
from charloom_codec.errors import CharloomError, SettingsError, describe_os_error
from charloom_codec.io.standard_streams import STANDARD_INPUT

_KINDS: dict[type | None, str] = {int: "an integer", float: "a number", bool: "true or false"}


class PositionalArgument(str):
    """An argument after ``--``: positional, even if it starts with a hyphen."""

    __slots__ = ()


def check_tokens(_: cyclopts.App, __: tuple[str, ...], arguments: cyclopts.ArgumentCollection) -> None:
    """Raises CycloptsError for arguments that cyclopts would accept with an unintended meaning."""
    options = [name for argument in arguments for name in argument.names if name.startswith("--")]
    for argument in arguments:
        kinds = (argument.hint, *get_args(argument.hint))
        for value in (token.value for token in argument.tokens):
            is_positional = not argument.name.startswith("-") and not isinstance(value, PositionalArgument)
            # Positional arguments allow a leading hyphen, for ``-`` as standard input, so cyclopts would take an
            # unknown option for a file.
            if is_positional and value.startswith("-") and value != STANDARD_INPUT:
                near = difflib.get_close_matches(value.partition("=")[0], options, 1)
                hint = (
                    f"did you mean {near[0]}?"
                    if near
                    else f"for a file with this name, pass ./{value} or put it after --"
                )
                raise cyclopts.CycloptsError(msg=f"unknown option {value}: {hint}")
            # Path("") is the current folder: --output "$UNSET" would write there.
            if Path in kinds and not value:
                raise cyclopts.CycloptsError(msg=f"{argument.name} is empty: pass . for the current folder")
            # cyclopts rounds a fraction to an int.
            if int in kinds and str not in kinds and "." in value:
                raise cyclopts.CycloptsError(msg=f"{argument.name} is {value}: it must be an integer")


@dataclass(frozen=True)
class CommandLine:
    """A program of several commands.

    Attributes:
        app: The commands; ``check_tokens`` must be in its config.
        required: Descriptions of the values of required options, by option.
        memory_remedies: Remedies for a lack of memory, by command.
    """

    app: cyclopts.App
    required: Mapping[str, str] = field(default_factory=dict)
    memory_remedies: Mapping[str, str] = field(default_factory=dict)

    def run(self, arguments: list[str]) -> int:
        """Runs a command and returns its exit status. An error is reported in one line on standard error.

        Returns:
            0 if the command succeeded, 1 if it failed, 2 if an option or an argument is wrong, another number that the
            command defines, 128 + n if signal n stopped it.
        """
        screen.name_program(self.app.name[0])
        _prepare_standard_streams()
        screen.show_warnings_in_one_line()
        try:
            # cyclopts must neither print an error nor exit: the clauses below report errors in one line.
            result: object = self.app(
                _mark_positional(split_install_completion(arguments)),
                console=screen.help_console(),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
            sys.stdout.flush()
        except cyclopts.CycloptsError as error:
            has_command = error.app is not None and not isinstance(error, cyclopts.UnknownCommandError)
            usage = "--help" if has_command else f"{self.app.name[0]} --help"
            screen.show_error(f"{self._describe_wrong_call(error)} (see {usage})")
            return 2
        except CharloomError as error:
            screen.show_error(*error.parts)
            return screen.exit_status(error)
        except KeyboardInterrupt as stop:
            screen.show_error(stopping.MESSAGE)
            # Without stop_on_signals, as in another program, Python's own KeyboardInterrupt has no number.
            status = 128 + (stop.number if isinstance(stop, stopping.Stopped) else signal.SIGINT)
            stopping.exit_at_once(status)
            return status
        except BrokenPipeError:
            # The reader of a pipe closed it (charloom ... | head), which is no error.
            return 0
        except OSError as error:
            screen.show_error(f"{error.filename + ': ' if error.filename else ''}{describe_os_error(error)}")
            return 1
        except (MemoryError, RuntimeError) as error:
            # PyTorch reports a failed allocation as a RuntimeError; only its text distinguishes it from others.
            if isinstance(error, RuntimeError) and not re.search("allocate memory|out of memory", str(error)):
                raise
            remedy = self.memory_remedies.get("".join(arguments[:1]), "use a smaller input")
            screen.show_error(f"out of memory: {remedy}")
            return 1
        finally:
            _flush_or_discard()
        return result if isinstance(result, int) else 0

    def _describe_wrong_call(self, error: cyclopts.CycloptsError) -> str:
        """Returns the message of an error of cyclopts in the form of charloom's: lowercase, without a final period."""
        unused = error.unused_tokens or [""]
        if isinstance(error, cyclopts.UnusedCliTokensError):
            return f"unexpected argument{'' if len(unused) == 1 else 's'}: {' '.join(unused)}"
        if isinstance(error, cyclopts.UnknownCommandError):
            commands = [name for name in self.app if not name.startswith("-")]
            near = difflib.get_close_matches(unused[0], commands, 1)
            word = "option" if unused[0].startswith("-") else "command"
            return f"unknown {word} {unused[0]!r}{f': did you mean {near[0]}?' if near else ''}"
        if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
            if error.keyword is not None:  # the option was passed without a value
                return f"{error.keyword} requires a value"
            name = error.argument.name
            return f"{name} is missing{f': pass {self.required[name]}' if name in self.required else ''}"
        if isinstance(error, cyclopts.CoercionError) and error.token is not None and error.token.keyword is not None:
            choices = ", ".join(get_args(error.target_type))
            problem = f"choose one of {choices}" if choices else f"it must be {_KINDS.get(error.target_type, 'valid')}"
            option = (error.argument.name if error.argument else error.token.keyword).removeprefix("--")
            return screen.in_words(SettingsError(problem, setting=option, value=error.token.value).parts)
        text = str(error).removesuffix(".")
        # Only a capitalized word: check_tokens names arguments such as MODEL.
        return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _prepare_standard_streams() -> None:
    """Replaces streams that the shell closed, and lets the others write every character."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # Python sets a stream to None if the shell closed it (<&-); every print would then fail.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        # A terminal whose encoding lacks a character shows its code; the default is a UnicodeEncodeError.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _mark_positional(arguments: list[str]) -> list[str]:
    """Returns the arguments, with those after ``--`` marked as positional."""
    # cyclopts does not record which arguments follow ``--``, but it passes the subclass of str to check_tokens.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[: end + 1], *map(PositionalArgument, arguments[end + 1 :])]


def _flush_or_discard() -> None:
    """Flushes the standard streams; discards buffered text that cannot be written."""
    # Python flushes at exit, too, and then prints a traceback if the pipe is closed or the disk is full.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            screen.discard(stream)
