"""A training run in a folder, as it is shown while it trains: its status, its curves, samples of its checkpoints."""

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from charloom.errors import CharloomError
from charloom.inference.generation import generate
from charloom.io.lock import FolderLock
from charloom.models.folder import CHECKPOINT_FOLDER, CONFIG_FILE
from charloom.models.language_model import LanguageModel
from charloom.runs.folder import HISTORY_FILE
from charloom.serving.history_file import read_history
from charloom.settings.sampling import DEFAULT_TEMPERATURE, SamplingSettings
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import list_checkpoint_files
from charloom.training.picture import make_history_markup

_SAMPLE_CHARS = 300
_MAX_SAMPLES = 10
_LOCK_SECONDS = 2.0
"""Time for which the state of the lock is kept: a check takes the lock for a moment, which a new run may need."""


@dataclass(frozen=True)
class Sample:
    """A text that a checkpoint generated.

    Attributes:
        steps: Optimizer steps of the checkpoint.
        text: The first prefix of the run, if it has one, and the generated text.
    """

    steps: int
    text: str


@dataclass(frozen=True)
class RunReport:
    """The state of a run.

    Attributes:
        status: Description of the state in one sentence.
        has_model: True if the folder has a model.
        curves: HTML of the curves and figures.
        note: Description of the lines of the history that are not shown; empty if all are.
        samples: Samples, the newest first.
    """

    status: str
    has_model: bool
    curves: str
    note: str
    samples: list[Sample]


class WatchedRun:
    """Reader of the folder of a run, which another process writes meanwhile.

    One thread at a time may use all objects of this class: matplotlib, which draws the curves, has global options.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run_lock = FolderLock(folder, "a run")
        self._is_training = False
        self._checked_at = float("-inf")
        self._history_seen: tuple[int, ...] | None = None
        self._curves, self._note = "", ""
        self._checkpoint_seen: tuple[int, ...] | None = None
        self._run_id: object = None
        self._samples: deque[Sample] = deque(maxlen=_MAX_SAMPLES)

    @property
    def exists(self) -> bool:
        """True if the folder has a history or checkpoints, or if a run has locked it."""
        files = (self._folder / HISTORY_FILE, self._folder / CHECKPOINT_FOLDER)
        return any(file.exists() for file in files) or self._check_lock()

    def report(self) -> RunReport:
        """Returns the present state: reads the files that have changed, and draws a sample of a new checkpoint."""
        self._read_curves()
        self._draw_sample()
        model = sign_file(self._folder / CONFIG_FILE)
        status = self._describe_status(model)
        return RunReport(status, model is not None, self._curves, self._note, [*self._samples])

    def _describe_status(self, model: tuple[int, ...] | None) -> str:
        if self._check_lock():
            return "Training. Its model replaces that in the folder at the end." if model else "Training."
        if model is None:
            return "Stopped without a model: charloom train --resume continues it."
        # A run that ends saves its model after its last checkpoint.
        if self._checkpoint_seen is not None and self._checkpoint_seen[-1] > model[-1]:
            return "Stopped after a checkpoint that is newer than the model: charloom train --resume continues it."
        return "Ended."

    def _check_lock(self) -> bool:
        """Returns True if a run has locked the folder."""
        if time.monotonic() - self._checked_at >= _LOCK_SECONDS:
            self._is_training = self._run_lock.is_held
            self._checked_at = time.monotonic()
        return self._is_training

    def _read_curves(self) -> None:
        file = self._folder / HISTORY_FILE
        signature = sign_file(file)
        if signature == self._history_seen and self._curves:
            return
        self._history_seen = signature
        history, self._note = read_history(file)
        self._curves = make_history_markup(history)

    def _draw_sample(self) -> None:
        # The checkpoint of step 0 is untrained.
        newest = next(reversed(list_checkpoint_files(self._folder / CHECKPOINT_FOLDER, after=0)), None)
        signature = sign_file(newest) if newest else None
        if newest is None or signature == self._checkpoint_seen:
            return
        self._checkpoint_seen = signature
        try:
            checkpoint = Checkpoint.read(newest)
            model = checkpoint.make_model().eval()
            prefix = next(iter(checkpoint.settings.prefix), "")
            start = prefix or find_start(model)
            sampling = SamplingSettings(temperature=DEFAULT_TEMPERATURE, seed=checkpoint.steps)
            text = generate(model, start, _SAMPLE_CHARS, sampling, unknown="skip").removeprefix("" if prefix else start)
        except CharloomError:
            # The run has deleted it meanwhile, or it is damaged: the next one is shown.
            return
        if checkpoint.source.get("run") != self._run_id:
            self._run_id = checkpoint.source.get("run")
            self._samples.clear()  # of an earlier run in this folder
        self._samples.appendleft(Sample(checkpoint.steps, text))


def sign_file(path: Path) -> tuple[int, ...] | None:
    """Returns numbers that change if a file is replaced or written; None if it cannot be found."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def find_start(model: LanguageModel) -> str:
    """Returns a character that may precede a text: a line feed, or else a space, or else any in the vocabulary."""
    tokens = model.vocabulary.tokens
    if model.vocabulary.unit == "byte":
        return "\n"
    return next((first for first in ("\n", " ") if first in tokens), str(tokens[-1]))
