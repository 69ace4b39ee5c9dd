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


class UnknownCharacterError(CharloomError, ValueError):
    """A text holds characters that the vocabulary lacks."""


class InputError(CharloomError, ValueError):
    """Ids, a state or a layer do not fit the model they are given to."""


class ModelFolderError(CharloomError):
    """A model folder is missing, damaged, or not one that this version can read."""


class TrainingDivergedError(CharloomError):
    """The loss is no longer a finite number."""


class CharloomWarning(UserWarning):
    """Something a user should know, though the work goes on."""
