"""The state of a training run between two steps: everything that the following steps depend on.

``training.checkpoints.checkpoint`` stores and restores it.
"""

import math
import warnings
from typing import NoReturn, TypeAlias

import torch
from torch import Tensor

from charloom.errors import Argument, CharloomWarning, Part, TrainingDivergedError
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.training.history import EpochRecord, History
from charloom.training.truncated_bptt import EpochProgress, make_optimizer

Weights: TypeAlias = dict[str, Tensor]
"""Tensors of a model by the names of ``LanguageModel.own_tensors``."""

_OVERFITTING_EPOCHS = 3
_OVERFITTING_RISE = 0.01
"""The overfitting warning is emitted if validation perplexity is above its best by this fraction, and the best epoch is
this many epochs ago: a smaller or shorter rise is noise."""


class TrainingState:
    """State of a run, except PyTorch's global random state, from which dropout is drawn.

    Attributes:
        model: The model that is trained.
        settings: Settings of the training loop.
        optimizer: Optimizer of all parameters of the model.
        generator: Random-number generator of the offsets and the order of minibatches.
        history: Records of the epochs that ended.
        last_good: Weights after the last epoch that ended, or before the first.
        best: Weights of the best epoch in validation; None without validation or before the first epoch ended.
        kept: Record of the epoch whose weights the model has after the run, or, if these are from within an epoch, of
            the last epoch that ended; None if no epoch ended. Set by ``load_final_weights``.
        epoch_start_rng_state: State of the generator at the start of the current epoch.
        progress: Progress of the current epoch; None before its first minibatch.
        steps: Number of optimizer steps since the start of the run.
        time_share: Share of the time limit that is used up, equal on all ranks; 0 without a limit.
        seconds: Wall-clock time of the run so far, in seconds, with validation, samples and checkpoints.
        epoch_seconds: Wall-clock time of the current epoch's minibatches so far, in seconds, without validation and
            samples.
    """

    def __init__(self, model: LanguageModel, settings: TrainingSettings) -> None:
        self.model, self.settings = model, settings
        self.optimizer = make_optimizer(model.parameters(), settings)
        # Its own, not the global one, so that dropout does not change the order of minibatches.
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.history = History()
        # A copy: the optimizer changes the tensors of the model in place.
        self.last_good = _copy_weights(get_weights(model))
        self.best: Weights | None = None
        self.kept: EpochRecord | None = None
        self._num_later_minibatches = 0
        self.epoch_start_rng_state = self.generator.get_state()
        self.progress: EpochProgress | None = None
        self.steps = 0
        # A number that the trainer sets, not a property: ranks have different clocks and must agree.
        self.time_share = 0.0
        self.seconds = self.epoch_seconds = 0.0
        self._warned: set[str] = set()

    def check_loss_finite(self) -> None:
        """Raises TrainingDivergedError if the mean loss is not finite.

        Before that, restores the best weights, if the run keeps them, or the last good ones, and sets ``progress`` to
        None.
        """
        if self.progress is not None and not math.isfinite(loss := float(self.progress.mean_loss)):
            self._raise_diverged(f"the loss is {loss}")

    def check_finite(self) -> None:
        """Raises TrainingDivergedError if the loss or a weight is not finite.

        Before that, restores the weights and sets ``progress`` as ``check_loss_finite`` does.
        """
        # The loss is one number, so it is checked before the weights.
        self.check_loss_finite()
        if not all(bool(tensor.isfinite().all()) for tensor in get_weights(self.model).values()):
            self._raise_diverged("a weight is no longer finite")

    def _raise_diverged(self, reason: str) -> NoReturn:
        # The model stays usable: train() raises, and its caller may still save the model.
        weights, good = self.last_good, len(self.history)
        if self.settings.ends_with_best and self.best is not None and self.history.best is not None:
            weights, good = self.best, self.history.best.epoch
        self.load_weights(weights)
        self.progress = None  # the weights are those of the end of an epoch
        raise TrainingDivergedError(
            *(f"{reason} in epoch {self.epoch}: ", *self._divergence_remedy),
            f"; the model has been restored to its state at {describe_position(good, 0, 0)}",
        )

    @property
    def _divergence_remedy(self) -> tuple[Part, ...]:
        """Parts of a message that state which settings to change after a divergence."""
        if self.settings.clip_norm:
            return "lower ", Argument("learning_rate"), " or ", Argument("clip_norm")
        # A norm of 0, which disables clipping, cannot be lowered.
        return "lower ", Argument("learning_rate"), ", or set ", Argument("clip_norm"), ", for example to 1"

    @property
    def random_state(self) -> Tensor:
        """State of PyTorch's global random-number generator, uint8; on a GPU, followed by that of the GPU."""
        states = [torch.get_rng_state()]
        if self.model.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.model.device))
        return torch.cat(states)

    @random_state.setter
    def random_state(self, state: Tensor) -> None:
        # The state of the CPU comes first and has a fixed length, which separates the two.
        length = len(torch.get_rng_state())
        torch.set_rng_state(state[:length].clone())  # PyTorch may crash on a view of a larger storage
        if self.model.device.type == "cuda" and len(state) > length:
            # A checkpoint written on a CPU has no state of a GPU, hence the check of the length.
            torch.cuda.set_rng_state(state[length:].clone(), self.model.device)

    @property
    def epoch(self) -> int:
        """The current epoch, from 1."""
        return len(self.history) + 1

    @property
    def speed(self) -> float:
        """Characters per second in the current epoch's minibatches so far."""
        done = self.progress.done if self.progress else 0
        # The lower limit avoids a division by zero before the first minibatch.
        return done * self.settings.rows * self.settings.num_steps / max(self.epoch_seconds, 1e-9)

    @property
    def is_finished(self) -> bool:
        """True if nothing is left to train."""
        return self.history.is_complete(self.settings)

    def end_epoch(self, record: EpochRecord) -> None:
        """Appends the record of an epoch to the history, copies the weights and resets the progress."""
        # First, because ``best`` below searches the history for this record.
        self.history.append(record)
        self.last_good = _copy_weights(get_weights(self.model))
        if record.validation_perplexity is not None and self.history.best is record:
            self.best = self.last_good  # shared, not copied: a checkpoint then stores the weights once
        self.epoch_start_rng_state = self.generator.get_state()
        self.progress = None
        self.epoch_seconds = 0.0

    def load_final_weights(self) -> None:
        """Loads the best weights into the model if ``ends_with_best``; otherwise keeps the present ones.

        A run that was resumed within an epoch beyond its new number of epochs gets the weights of its last epoch. Sets
        ``kept``.
        """
        # train() may call this twice, so it must give the same result again.
        self.kept = self.history[-1] if self.history else None
        self._num_later_minibatches = 0
        if self.settings.ends_with_best and self.best is not None:
            self.load_weights(self.best)
            self.kept = self.history.best
        elif self.is_finished and self.progress is not None:
            self.load_weights(self.last_good)  # resumed within an epoch beyond the new number of epochs
        elif self.progress is not None:
            self._num_later_minibatches = self.progress.done  # stopped within an epoch

    @property
    def results(self) -> dict[str, object] | None:
        """Results of the run as JSON values, once ``load_final_weights`` was called; None if no epoch ended.

        They are the record ``kept`` and the number of epochs that ended, ``epochs_trained``; and, only if the weights
        are later than the record, ``minibatches_after_epoch``.
        """
        if self.kept is None:
            return None
        later = {"minibatches_after_epoch": self._num_later_minibatches} if self._num_later_minibatches else {}
        return {**self.kept.to_dict(), "epochs_trained": len(self.history), **later}

    def load_weights(self, weights: Weights) -> None:
        """Copies weights into the tensors of the model."""
        with torch.no_grad():
            # In place: the optimizer refers to these tensors.
            for name, tensor in get_weights(self.model).items():
                tensor.copy_(weights[name])

    def warn_of_problems(self) -> None:
        """Warns of an exploding but finite loss and of overfitting, once each, and again after the run was resumed.

        Overfitting is reported if validation has been worse than its best for some epochs and the run would end with
        the weights of the last epoch.
        """
        best, last, num_tokens = self.history.best, self.history[-1], len(self.model.vocabulary)
        if last.perplexity > num_tokens**2:  # the loss is more than twice that of a uniform guess
            self._warn_once(
                "explosion",
                f"perplexity is {last.perplexity:.3g} after epoch {last.epoch}, far above {num_tokens}, the "
                "perplexity of a uniform guess: the learning rate is probably too high; ",
                *self._divergence_remedy,
            )
        # A run that ends with the best weights needs no warning.
        if self.settings.ends_with_best or best is None:
            return
        value, lowest = last.validation_perplexity or math.inf, best.validation_perplexity or math.inf
        if value > lowest * (1 + _OVERFITTING_RISE) and last.epoch - best.epoch >= _OVERFITTING_EPOCHS:
            self._warn_once(
                "overfitting",
                f"validation perplexity was best after epoch {best.epoch} ({lowest:.3f}) and has risen to {value:.3f} "
                f"by epoch {last.epoch}: the model is overfitting; ",
                *(Argument("patience", 5), " would stop early and keep the best weights; "),
                *(Argument("keep_best", True), " would keep them without stopping"),
            )

    def _warn_once(self, problem: str, *message: Part) -> None:
        # Python's own filter does not suppress repetitions here: the figures in the message change every epoch.
        if problem not in self._warned:
            self._warned.add(problem)
            warnings.warn(CharloomWarning(*message), stacklevel=6)


def describe_position(epochs: int, done: int, num_batches: int) -> str:
    """Describes a position in a run: ``the start``, ``the end of epoch 2`` or ``epoch 3, minibatch 7 of 40``.

    Args:
        epochs: Number of epochs that ended.
        done: Number of minibatches trained on in the epoch after them.
        num_batches: Number of minibatches of that epoch.
    """
    if done:
        return f"epoch {epochs + 1}, minibatch {done} of {num_batches}"
    return f"the end of epoch {epochs}" if epochs else "the start"


def get_weights(model: LanguageModel) -> Weights:
    """Returns the tensors of the model by name; they share its memory."""
    # Detached, so that autograd does not record what is done with them.
    return {name: tensor.detach() for name, tensor in model.own_tensors().items()}


def _copy_weights(weights: Weights) -> Weights:
    return {name: tensor.clone() for name, tensor in weights.items()}
