"""The base classes of charloom's exceptions and warnings, those of compression, and the parts of their messages.

A message is one line: what is wrong, then what to do.

Settings have different names in Python, on the command line and in a recipe. A message is therefore a sequence of
parts: strings, and the arguments that it mentions. ``str(error)`` formats arguments as Python does; another front end
calls ``format_parts`` with its own format and the error's ``parts``. No code reads or edits the text of a message.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

_MAX_SHOWN = 200
"""Maximum number of characters of a value in a message."""


@dataclass(frozen=True)
class Argument:
    """A setting or another argument in a message.

    Attributes:
        name: Name in Python.
        value: Actual or suggested value; ``...`` if the message mentions the name only.
        function: Function or class that takes the argument, if the error may occur in others that do not.
    """

    name: str
    value: object = ...
    function: str | None = None


Part: TypeAlias = str | Argument
ArgumentFormatter: TypeAlias = Callable[[Argument], str]
"""Formatter of arguments for one front end."""


def as_keyword(argument: Argument) -> str:
    """Formats an argument as Python does: ``num_steps``, ``unit='byte'``, ``RunPlan(resume='folder')``."""
    text = argument.name if argument.value is ... else f"{argument.name}={_shorten_repr(argument.value)}"
    return text if argument.function is None else f"{argument.function}({text})"


def format_value(value: object) -> str:
    """Returns a value as options and recipes write it: ``none``, ``true``, ``0.5``."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


class Message:
    """Base class of errors and warnings: a message with fields.

    Attributes:
        message: Parts that state what is wrong.
        setting: Python name of the wrong argument; None unless exactly one argument is wrong.
        value: Its value; ``...`` if the message does not show it.
        hint: Parts that state what to do; empty if ``message`` already states it.
    """

    def __init__(
        self,
        *message: Part,
        setting: str | None = None,
        value: object = ...,
        hint: Part | Sequence[Part] = (),
    ) -> None:
        """Initializes the fields.

        With a setting, the line starts with it: ``dropout is 1.5: ...``, ``keep_best=False: ...`` for a bool, or
        ``patience ...`` without a value. The hint follows after a semicolon.
        """
        super().__init__(*message)  # pickle, which multiprocessing uses, calls the class with these arguments
        self.message = message
        self.setting = setting
        self.value = value
        # A single str must be wrapped: tuple() would split it into characters.
        self.hint: tuple[Part, ...] = (hint,) if isinstance(hint, (str, Argument)) else tuple(hint)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts of the line, for an error that extends this one."""
        start: tuple[Part, ...] = ()
        if self.setting is not None:
            # "--no-keep-best: ..." reads better than "--keep-best is False: ...".
            if isinstance(self.value, bool):
                start = (Argument(self.setting, self.value), ": ")
            else:
                start = (Argument(self.setting), " " if self.value is ... else f" is {_shorten_repr(self.value)}: ")
        return (*start, *self.message, *(("; ", *self.hint) if self.hint else ()))

    def __str__(self) -> str:
        return format_parts(self.parts, as_keyword)


def pluralize(number: int, noun: str) -> str:
    """Returns a number with a regular noun in singular or plural: ``1 point``, ``2,000 points``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def describe_os_error(error: Exception) -> str:
    """Returns the operating system's reason for an error, in lowercase; the text of an error that has none."""
    reason = getattr(error, "strerror", None)
    return reason.lower() if isinstance(reason, str) else str(error)


def format_parts(parts: Iterable[Part], format_argument: ArgumentFormatter) -> str:
    """Returns the text of a message, with arguments formatted by a front end."""
    return "".join(part if isinstance(part, str) else format_argument(part) for part in parts)


def join_with_commas(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Returns the parts separated by commas."""
    # The slice drops the comma before the first part.
    return tuple(itertools.chain.from_iterable((", ", part) for part in parts))[1:]


class CharloomError(Message, Exception):
    """Base class of all errors that charloom raises."""


class SettingsError(CharloomError, ValueError):
    """A setting has an invalid value, or two settings contradict each other."""


class InputError(CharloomError, ValueError):
    """An argument of a function or model has the wrong type, shape or value."""


class RecordTooLongError(InputError):
    """A record exceeds the limit of a file of records."""


class ModelFolderError(CharloomError):
    """A model folder is missing, damaged, used by another run, or of an unsupported version."""


class CompressedFileError(CharloomError):
    """Compressed data cannot be decompressed. Subclasses state the reason."""


class NotCompressedError(CompressedFileError):
    """The data is not in charloom's format."""


class LaterVersionError(CompressedFileError):
    """The data is in a later version of the format."""


class WrongModelError(CompressedFileError):
    """The data was compressed with another model, or no model was passed."""


class DamagedFileError(CompressedFileError):
    """Some of the data is damaged.

    Attributes:
        start: First lost byte of the original; None if it is not known.
        end: Byte after the last lost byte.
    """

    def __init__(
        self, *message: Part, start: int | None = None, end: int | None = None, hint: Part | Sequence[Part] = ()
    ) -> None:
        super().__init__(*message, hint=hint)
        self.start = start
        self.end = end


class DamagedRecordError(DamagedFileError):
    """Some records are damaged; undamaged ones can still be read. ``start`` and ``end`` are always None.

    Attributes:
        records: Numbers of the damaged records, from 0. Only the first one, if more are lost than these.
        lost: Extent of the loss: ``"records"`` if only these records are lost, ``"group"`` if all records of the group
            that starts with this one are lost, ``"rest"`` if this record and all later ones are lost.
    """

    def __init__(
        self,
        *message: Part,
        records: tuple[int, ...] = (),
        lost: Literal["records", "group", "rest"] = "records",
        hint: Part | Sequence[Part] = (),
    ) -> None:
        super().__init__(*message, hint=hint)
        self.records = records
        self.lost = lost


class TruncatedFileError(CompressedFileError):
    """The data ends too early."""


class TrailingDataError(CompressedFileError):
    """There are bytes after the end of the data."""


class CharloomWarning(Message, UserWarning):
    """A warning: the operation continues, but its result may not be what the user expects."""


def _shorten_repr(value: object) -> str:
    """Returns the repr of a value of any type in one line, cut to 200 characters.

    A repr that raises an exception is replaced by the name of the type.
    """
    try:
        # A repr may contain line breaks, and a message is one line.
        text = " ".join(repr(value).split())
    except Exception:  # Python refuses to format huge ints, and the repr of a user's type may raise anything
        return f"a value of type {type(value).__name__} that cannot be shown"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
