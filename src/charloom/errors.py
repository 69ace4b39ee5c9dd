"""Everything charloom raises on purpose, and what it warns about.

One base class, so that a caller can catch all of it. A message is one line: what is wrong, and what to do about it.

Settings have other names on the command line than in Python or in a recipe. So a message is not one text but a
sequence of parts: texts, and the arguments it mentions. ``str`` words the arguments as Python does; another front end
calls ``worded`` with its own wording and the error's ``parts``. No code reads or edits the text of a message.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

_LONGEST_SHOWN = 200
"""Characters of a value in a message."""


@dataclass(frozen=True)
class Argument:
    """A setting or another argument that a message mentions.

    Attributes:
        name: Its name in Python.
        value: A value that it has or should be given; ``...`` if only the name is mentioned.
    """

    name: str
    value: object = ...


Part: TypeAlias = str | Argument
Wording: TypeAlias = Callable[[Argument], str]
"""The text for an argument on one front end."""


def as_keyword(argument: Argument) -> str:
    """The argument as Python has it: ``num_steps``, ``unit='byte'``."""
    return argument.name if argument.value is ... else f"{argument.name}={_shown(argument.value)}"


class Message:
    """Base of errors and warnings: the fields of a message, and its wording.

    Attributes:
        message: What is wrong, in parts.
        setting: The argument that is wrong, by its name in Python; None if it is not one argument.
        value: The value it has; ``...`` if that is of no interest.
        hint: What to do about it, in parts; empty if the message says so.
    """

    def __init__(
        self,
        *message: Part,
        setting: str | None = None,
        value: object = ...,
        hint: Part | Sequence[Part] = (),
    ) -> None:
        """Makes a message of its fields.

        With a setting the line begins with it: ``dropout is 1.5: ...``, or ``patience ...`` if there is no value. The
        hint follows after a semicolon.
        """
        super().__init__(*message)
        self.message = message
        self.setting = setting
        self.value = value
        self.hint: tuple[Part, ...] = (hint,) if isinstance(hint, (str, Argument)) else tuple(hint)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The whole line in parts: for an error that adds to this one."""
        begin: tuple[Part, ...] = ()
        if self.setting is not None:
            if isinstance(self.value, bool):
                begin = (Argument(self.setting, self.value), ": ")
            else:
                begin = (Argument(self.setting), " " if self.value is ... else f" is {_shown(self.value)}: ")
        return (*begin, *self.message, *(("; ", *self.hint) if self.hint else ()))

    def __str__(self) -> str:
        return worded(self.parts, as_keyword)


def counted(number: int, noun: str) -> str:
    """Returns a count as messages have it: ``1 point``, ``2 points``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def worded(parts: Iterable[Part], wording: Wording) -> str:
    """The text of a message, with arguments in the words of a front end."""
    return "".join(part if isinstance(part, str) else wording(part) for part in parts)


def comma_separated(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with commas between them."""
    return tuple(itertools.chain.from_iterable((", ", part) for part in parts))[1:]


class CharloomError(Message, Exception):
    """Base of every error that charloom raises on purpose."""


class SettingsError(CharloomError, ValueError):
    """A setting is impossible, or two settings contradict each other."""


class CorpusError(CharloomError):
    """A text cannot be read, is not what its unit needs, or is too short."""


class CorpusUnavailableError(CorpusError):
    """A named corpus is in no data directory and no cache, and cannot be downloaded."""


class SeriesError(CharloomError, ValueError):
    """A numeric series cannot be read, has values that cannot be forecast from, or is too short."""


class UnknownCharacterError(CharloomError, ValueError):
    """A text holds characters that the vocabulary lacks."""


class InputError(CharloomError, ValueError):
    """Ids, a state or a layer do not fit the model they are given to."""


class ModelFolderError(CharloomError):
    """A model folder is missing, damaged, in use by another run, or not one that this version can read."""


class CheckpointError(CharloomError):
    """A checkpoint is missing or damaged, or the run cannot go on from it as asked."""


class TrainingDivergedError(CharloomError):
    """The loss is no longer a finite number."""


class ProcessLostError(CharloomError):
    """Another process of a training run ended, or cannot be reached."""


class OtherProcessFailedError(CharloomError):
    """Another process of a training run failed, and says why."""


class CompressedFileError(CharloomError):
    """Compressed data cannot be decompressed. One subclass for each way in which it can be bad."""


class NotCompressedError(CompressedFileError):
    """The data is not of charloom's format at all."""


class LaterVersionError(CompressedFileError):
    """The data is of a version of the format, that this charloom does not know."""


class WrongModelError(CompressedFileError):
    """The data was made with another model than the one that is to decode it, or none was given."""


class DamagedFileError(CompressedFileError):
    """Some of the data is not what was written.

    Attributes:
        start: First byte of the original that is lost; None where that cannot be told.
        end: The byte after the last one that is lost.
    """

    def __init__(self, *message: Part, start: int | None = None, end: int | None = None) -> None:
        super().__init__(*message)
        self.start = start
        self.end = end


class DamagedRecordError(DamagedFileError):
    """Some records are not what was written; the others can be read.

    Attributes:
        records: Their numbers, from 0.
    """

    def __init__(self, *message: Part, records: tuple[int, ...] = ()) -> None:
        super().__init__(*message)
        self.records = records


class TruncatedFileError(CompressedFileError):
    """The data ends before its end."""


class TrailingDataError(CompressedFileError):
    """Something follows the end of the data."""


class CharloomWarning(Message, UserWarning):
    """Something a user should know, though the work goes on."""


def _shown(value: object) -> str:
    """The value in one line, of whatever type it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # Python does not write out very large whole numbers; another type's repr may raise anything
        return f"a value of type {type(value).__name__} that cannot be shown"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
