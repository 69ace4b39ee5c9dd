"""A run between two steps: everything that decides how it goes on, and what it ends with."""

import math
import warnings
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from charloom.errors import CharloomWarning, TrainingDivergedError
from charloom.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.training.history import EpochRecord, History
from charloom.training.optimization import make_optimizer

Weights: TypeAlias = dict[str, Tensor]

_RISEN_FOR_EPOCHS = 3
_RISEN_BY = 0.01
"""By how much, and for how long, validation is above its best where a user is told: less is noise."""


@dataclass
class Run:
    """A run's state. PyTorch's global random state, of which dropout is drawn, is the rest of it.

    Attributes:
        model: What is trained.
        settings: How.
        optimizer: With its moments.
        generator: Draws offsets and orders.
        history: The epochs that ended.
        last_good: The weights after the last epoch that ended, or before the first.
        best: The weights of the epoch that was best in validation, where the run ends with those.
        kept: The record of the epoch whose weights the model ended with.
    """

    model: LanguageModel
    settings: TrainingSettings
    optimizer: Optimizer
    generator: torch.Generator
    last_good: Weights
    history: History = field(default_factory=History)
    best: Weights | None = None
    kept: EpochRecord | None = None

    @classmethod
    def begin(cls, model: LanguageModel, settings: TrainingSettings) -> "Run":
        """The state before the first step."""
        generator = torch.Generator().manual_seed(settings.seed)
        return cls(model, settings, make_optimizer(model, settings), generator, _copy_weights(model))

    def check_finite(self, loss: float, epoch: int) -> None:
        """Raises TrainingDivergedError where the loss is not, with the weights of the last epoch back in the model."""
        if not math.isfinite(loss):
            self.model.load_state_dict(self.last_good)
            raise TrainingDivergedError(
                f"the loss is {loss} in epoch {epoch}: lower learning_rate or clip_norm; the model is as it was "
                f"after epoch {self._epoch_of_weights(epoch - 1)}"
            )

    def end_epoch(self, record: EpochRecord) -> None:
        """Records an epoch, and keeps its weights."""
        self.history.records.append(record)
        self.last_good = _copy_weights(self.model)
        if self.settings.ends_with_best and self.history.best is record:
            self.best = self.last_good

    @property
    def out_of_patience(self) -> bool:
        """Whether validation has not become better for as many epochs as the settings allow."""
        best, patience = self.history.best, self.settings.patience
        return best is not None and patience is not None and len(self.history) - best.epoch >= patience

    def end(self) -> None:
        """Puts the weights that the run is to end with into the model."""
        self.kept = self.history[-1] if self.history else None
        if self.best is not None:
            self.model.load_state_dict(self.best)
            self.kept = self.history.best

    def warn_of_overfitting(self) -> None:
        """Says so where the model ends with weights that have been better on the validation part for a while."""
        best, kept = self.history.best, self.kept
        if best is None or kept is None or best.validation_perplexity is None or kept.validation_perplexity is None:
            return
        risen = kept.validation_perplexity > best.validation_perplexity * (1 + _RISEN_BY)
        if risen and kept.epoch - best.epoch >= _RISEN_FOR_EPOCHS:
            warnings.warn(
                f"validation perplexity was best after epoch {best.epoch} ({best.validation_perplexity:.3f}) and has "
                f"risen to {kept.validation_perplexity:.3f} by epoch {kept.epoch}: the model is learning its text by "
                "heart; patience=5 stops in time and keeps the best weights, keep_best only keeps them",
                CharloomWarning,
                stacklevel=3,
            )

    def _epoch_of_weights(self, last: int) -> int:
        best = self.history.best
        return best.epoch if self.best is not None and best is not None else last


def _copy_weights(model: LanguageModel) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
