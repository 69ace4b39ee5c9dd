"""All exceptions and warnings of charloom: those of texts, series and training, and those of ``charloom_codec``."""

from charloom_codec.errors import Argument as Argument
from charloom_codec.errors import ArgumentFormatter as ArgumentFormatter
from charloom_codec.errors import CharloomError as CharloomError
from charloom_codec.errors import CharloomWarning as CharloomWarning
from charloom_codec.errors import CompressedFileError as CompressedFileError
from charloom_codec.errors import DamagedFileError as DamagedFileError
from charloom_codec.errors import DamagedRecordError as DamagedRecordError
from charloom_codec.errors import InputError as InputError
from charloom_codec.errors import LaterVersionError as LaterVersionError
from charloom_codec.errors import Message as Message
from charloom_codec.errors import ModelFolderError as ModelFolderError
from charloom_codec.errors import NotCompressedError as NotCompressedError
from charloom_codec.errors import Part as Part
from charloom_codec.errors import RecordTooLongError as RecordTooLongError
from charloom_codec.errors import SettingsError as SettingsError
from charloom_codec.errors import TrailingDataError as TrailingDataError
from charloom_codec.errors import TruncatedFileError as TruncatedFileError
from charloom_codec.errors import WrongModelError as WrongModelError
from charloom_codec.errors import as_keyword as as_keyword
from charloom_codec.errors import describe_os_error as describe_os_error
from charloom_codec.errors import format_parts as format_parts
from charloom_codec.errors import format_value as format_value
from charloom_codec.errors import join_with_commas as join_with_commas
from charloom_codec.errors import pluralize as pluralize


class CorpusError(CharloomError):
    """A text cannot be read, is not encoded as its unit requires, or is too short."""


class CorpusUnavailableError(CorpusError):
    """A named corpus or a dataset is not available locally and cannot be downloaded."""


class SeriesError(CharloomError, ValueError):
    """A numeric series cannot be read, has invalid values, or is too short."""


class UnknownCharacterError(CharloomError, ValueError):
    """A text contains out-of-vocabulary characters."""


class CheckpointError(CharloomError):
    """A checkpoint is missing or damaged, or the run cannot resume from it with these settings."""


class TrainingDivergedError(CharloomError):
    """The loss or a parameter is NaN or infinite."""


class ProcessLostError(CharloomError):
    """Another process of a training run ended, or cannot be reached."""


class OtherProcessFailedError(CharloomError):
    """Another process of a training run failed and reported its own error."""
