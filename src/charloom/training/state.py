"""A run between two steps: everything that decides how it goes on, and what it ends with."""

import math
import warnings
from typing import TypeAlias

import torch
from torch import Tensor

from charloom.errors import Argument, CharloomWarning, TrainingDivergedError
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.training.history import EpochRecord, History
from charloom.training.truncated_bptt import EpochProgress, make_optimizer

Weights: TypeAlias = dict[str, Tensor]
"""As ``LanguageModel.own_tensors`` names them."""

_RISEN_FOR_EPOCHS = 3
_RISEN_BY = 0.01
"""By how much, and for how long, validation is above its best when a user is told: less is noise."""


class TrainingState:
    """A run's state. PyTorch's global random state, of which dropout is drawn, is the rest of it.

    Attributes:
        last_good: The weights after the last epoch that ended, or before the first.
        best: The weights of the epoch that was best in validation; None if nothing was validated on.
        kept: The record of the epoch whose weights the model ended with.
        epoch_began_with: The generator's state when the epoch that is being trained began, or is to begin.
        progress: Of that epoch; None before its first minibatch.
        seconds: Of the run so far.
        epoch_seconds: Of the epoch's minibatches so far.
    """

    def __init__(self, model: LanguageModel, settings: TrainingSettings) -> None:
        self.model, self.settings = model, settings
        self.optimizer = make_optimizer(model.parameters(), settings)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.history = History()
        self.last_good = _copy_of(weights_of(model))
        self.best: Weights | None = None
        self.kept: EpochRecord | None = None
        self.epoch_began_with = self.generator.get_state()
        self.progress: EpochProgress | None = None
        self.steps = 0
        self.seconds = self.epoch_seconds = 0.0
        self._told_of_overfitting = False

    def check_loss(self) -> None:
        """Raises TrainingDivergedError if the mean loss is not finite, with good weights back in the model."""
        if self.progress is not None and not math.isfinite(loss := float(self.progress.mean_loss)):
            self._diverged(f"the loss is {loss}")

    def check(self) -> None:
        """Raises TrainingDivergedError likewise if a weight is not finite either: the next loss would not be."""
        self.check_loss()
        if not all(bool(tensor.isfinite().all()) for tensor in weights_of(self.model).values()):
            self._diverged("a weight is no longer finite")

    def _diverged(self, reason: str) -> None:
        weights, good = self.last_good, len(self.history)
        if self.settings.ends_with_best and self.best is not None and self.history.best is not None:
            weights, good = self.best, self.history.best.epoch
        self.put_weights(weights)
        raise TrainingDivergedError(
            *(f"{reason} in epoch {self.epoch}: lower ", Argument("learning_rate"), " or ", Argument("clip_norm")),
            f"; the model is as it was after epoch {good}",
        )

    @property
    def random_state(self) -> Tensor:
        """PyTorch's global one, uint8; on a GPU with the GPU's after it."""
        states = [torch.get_rng_state()]
        if self.model.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.model.device))
        return torch.cat(states)

    @random_state.setter
    def random_state(self, state: Tensor) -> None:
        length = len(torch.get_rng_state())
        torch.set_rng_state(state[:length].clone())
        if self.model.device.type == "cuda" and len(state) > length:
            torch.cuda.set_rng_state(state[length:].clone(), self.model.device)

    @property
    def epoch(self) -> int:
        """The epoch that is being trained, or comes next; from 1."""
        return len(self.history) + 1

    @property
    def speed(self) -> float:
        """Characters a second, in the epoch's minibatches so far."""
        done = self.progress.done if self.progress else 0
        return done * self.settings.rows * self.settings.num_steps / max(self.epoch_seconds, 1e-9)

    @property
    def finished(self) -> bool:
        """True if nothing is left to train."""
        return self.epoch > self.settings.epochs or self.history.out_of_patience(self.settings.patience)

    def epoch_ended(self, record: EpochRecord) -> None:
        """Records an epoch, and keeps its weights."""
        self.history.append(record)
        self.last_good = _copy_of(weights_of(self.model))
        if record.validation_perplexity is not None and self.history.best is record:
            self.best = self.last_good
        self.epoch_began_with = self.generator.get_state()
        self.progress = None
        self.epoch_seconds = 0.0

    def end(self) -> None:
        """Puts the weights that the run is to end with into the model."""
        self.kept = self.history[-1] if self.history else None
        if self.settings.ends_with_best and self.best is not None:
            self.put_weights(self.best)
            self.kept = self.history.best
        elif self.finished and self.progress is not None:
            self.put_weights(self.last_good)  # resumed within an epoch that is no longer wanted

    def put_weights(self, weights: Weights) -> None:
        """Copies these into the model."""
        with torch.no_grad():
            for name, tensor in weights_of(self.model).items():
                tensor.copy_(weights[name])

    def warn_of_overfitting(self) -> None:
        """Says so once, as an epoch ends, if validation has become worse for a while and the last weights count."""
        best, last = self.history.best, self.history[-1]
        if self._told_of_overfitting or self.settings.ends_with_best or best is None:
            return
        value, lowest = last.validation_perplexity or math.inf, best.validation_perplexity or math.inf
        if value > lowest * (1 + _RISEN_BY) and last.epoch - best.epoch >= _RISEN_FOR_EPOCHS:
            self._told_of_overfitting = True
            warning = CharloomWarning(
                f"validation perplexity was best after epoch {best.epoch} ({lowest:.3f}) and has risen to {value:.3f} "
                f"by epoch {last.epoch}: the model is learning its text by heart; ",
                *(Argument("patience", 5), " stops in time and keeps the best weights, "),
                *(Argument("keep_best", True), " only keeps them"),
            )
            warnings.warn(warning, stacklevel=4)


def describe_position(epochs: int, done: int, num_batches: int) -> str:
    """After so many whole epochs, and of the next so many minibatches."""
    if done:
        return f"epoch {epochs + 1}, minibatch {done} of {num_batches}"
    return f"the end of epoch {epochs}" if epochs else "the beginning"


def weights_of(model: LanguageModel) -> Weights:
    """The model's own tensors, not copies."""
    return {name: tensor.detach() for name, tensor in model.own_tensors().items()}


def _copy_of(weights: Weights) -> Weights:
    return {name: tensor.clone() for name, tensor in weights.items()}
