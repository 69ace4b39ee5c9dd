"""The events that a training run emits to its listeners: progress bars, files, tests.

A listener is called with each event as it happens, between two steps, when weights and history agree. It may raise
``StopTraining`` to end the run there; with several processes, all of them end it after their next step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from charloom.training.history import EpochRecord


@dataclass(frozen=True)
class StepEnded:
    """The end of one optimizer step.

    Attributes:
        epoch: Counted from 1.
        fraction: Fraction of the epoch's minibatches that are done.
        mean_loss: Mean loss of the epoch so far, in nats; left on the device, so that only a listener that reads it
            waits for the device.
        chars_per_second: Training speed over the epoch so far.
        steps: Optimizer steps since the start of the run.
        learning_rate: Learning rate of this step.
        run_fraction: Fraction of the run that is done: of its epochs or of its time limit, whichever is larger.
    """

    epoch: int
    fraction: float
    mean_loss: Tensor
    chars_per_second: float
    steps: int
    learning_rate: float
    run_fraction: float


@dataclass(frozen=True)
class ValidationAdvanced:
    """Progress of the validation after an epoch's minibatches.

    Attributes:
        epoch: Counted from 1.
        fraction: Fraction of the validation text that has been read.
    """

    epoch: int
    fraction: float


@dataclass(frozen=True)
class EpochEnded:
    """The end of an epoch, whose record is in the history.

    Attributes:
        record: Measurements of the epoch.
        steps: Optimizer steps since the start of the run.
    """

    record: EpochRecord
    steps: int


@dataclass(frozen=True)
class SampleDrawn:
    """A sample that the model generated from a prefix.

    Attributes:
        epoch: Epoch whose weights the model has.
        text: The prefix and its continuation.
        steps: Optimizer steps since the start of the run.
    """

    epoch: int
    text: str
    steps: int


@dataclass(frozen=True)
class SavingStarted:
    """Training ended, and ``charloom.runs`` starts to save the model. Raising ``StopTraining`` has no effect."""


Event: TypeAlias = StepEnded | ValidationAdvanced | EpochEnded | SampleDrawn | SavingStarted
Listener: TypeAlias = Callable[[Event], None]


# Not a CharloomError, so that code that handles charloom's errors does not catch it.
class StopTraining(Exception):  # noqa: N818 - a request, not an error
    """Raised by a listener to end training; the weights and the history are kept."""
