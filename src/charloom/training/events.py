"""The events that a training run tells its listeners: progress bars, files, tests.

A listener is called with each event as it happens, between two steps, when weights and history agree. It may raise
``StopTraining`` to end the run there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from charloom.training.history import EpochRecord


@dataclass(frozen=True)
class StepEnded:
    """One minibatch was trained on.

    Attributes:
        epoch: Counted from 1.
        fraction: Of the epoch's minibatches that are done.
        mean_loss: Mean loss of the epoch so far, in nats; left on the device, so that only who reads it waits for it.
        chars_per_second: Training speed over the epoch so far.
        steps: Minibatches trained on since the run began.
        learning_rate: Step size of the optimizer, as it was in this minibatch.
    """

    epoch: int
    fraction: float
    mean_loss: Tensor
    chars_per_second: float
    steps: int
    learning_rate: float


@dataclass(frozen=True)
class ValidationAdvanced:
    """Some of the validation text was read, after an epoch's minibatches.

    Attributes:
        epoch: Counted from 1.
        fraction: Of the validation text that has been read.
    """

    epoch: int
    fraction: float


@dataclass(frozen=True)
class EpochEnded:
    """An epoch ended; its record is in the history.

    Attributes:
        record: What was measured.
        steps: Minibatches trained on since the run began.
    """

    record: EpochRecord
    steps: int


@dataclass(frozen=True)
class SampleDrawn:
    """The model wrote on from a prefix.

    Attributes:
        epoch: Whose weights the model has.
        text: With the prefix.
        steps: Minibatches trained on since the run began.
    """

    epoch: int
    text: str
    steps: int


@dataclass(frozen=True)
class SavingStarted:
    """Training ended, and ``charloom.runs`` starts to save the model. Raising ``StopTraining`` has no effect."""


Event: TypeAlias = StepEnded | ValidationAdvanced | EpochEnded | SampleDrawn | SavingStarted
Listener: TypeAlias = Callable[[Event], None]


class StopTraining(Exception):  # noqa: N818 - a request, not an error
    """Raised by a listener to end training; what was learnt and recorded is kept."""
