"""The outcome of a training run in a folder: its status, its model and its history."""

from dataclasses import dataclass
from typing import Literal

from charloom.errors import TrainingDivergedError
from charloom.models.language_model import LanguageModel
from charloom.training.history import EpochRecord, History


@dataclass(frozen=True)
class Outcome:
    """Result of a training run.

    Attributes:
        status: ``finished``: all epochs are trained, patience is exhausted, or the time limit was reached. ``stopped``:
            a listener stopped the run, which can be resumed. ``diverged``: the loss or a weight is not finite;
            ``error`` states what to do. ``nothing to do``: the run to be resumed had finished already.
        model: The model, with its final weights. Rank 0 saves them if the plan saves the model and, after a divergence,
            only if an epoch ended.
        history: Records of the epochs that ended.
        kept: Record of the epoch whose weights the model has or, if the run was stopped within an epoch and does not
            keep the best weights, of the last epoch that ended; None if none did.
        last_checkpoint: Description of the last checkpoint, with its path and position in the run, if later ones could
            not be written; else empty.
        error: The error, if the run diverged; else None.
    """

    status: Literal["finished", "stopped", "diverged", "nothing to do"]
    model: LanguageModel
    history: History
    kept: EpochRecord | None
    last_checkpoint: str = ""
    error: TrainingDivergedError | None = None
