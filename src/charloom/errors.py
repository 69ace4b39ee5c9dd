"""Everything charloom raises on purpose, and what it warns about.

One base class, so that a caller can catch all of it; each message is one line that says what is wrong and the way out.
"""


class CharloomError(Exception):
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

    def __init__(self, message: str, start: int | None = None, end: int | None = None) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


class DamagedRecordError(DamagedFileError):
    """Some records are not what was written; the others can be read.

    Attributes:
        records: Their numbers, from 0.
    """

    def __init__(self, message: str, records: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.records = records


class TruncatedFileError(CompressedFileError):
    """The data ends before its end."""


class TrailingDataError(CompressedFileError):
    """Something follows the end of the data."""


class CharloomWarning(UserWarning):
    """Something a user should know, though the work goes on."""
