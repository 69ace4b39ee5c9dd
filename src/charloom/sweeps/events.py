"""The events that a sweep emits. A listener that raises ``StopTraining`` ends the sweep; finished runs are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from charloom.sweeps.results import SweepRun


@dataclass(frozen=True)
class SweepStarted:
    """The start of the worker processes, after all checks.

    Attributes:
        num_done: Runs that were finished before.
        num_to_do: Runs to train now.
        num_jobs: Number of worker processes.
        threads: Threads of each worker process.
    """

    num_done: int
    num_to_do: int
    num_jobs: int
    threads: int


@dataclass(frozen=True)
class SweepProgressed:
    """The progress of a sweep, emitted a few times per second.

    Attributes:
        fraction: Fraction of the epochs to train that are finished.
    """

    fraction: float


@dataclass(frozen=True)
class RunEnded:
    """The end of a run, which has been moved to the sweep's folder."""

    run: SweepRun


@dataclass(frozen=True)
class RunFailed:
    """The failure of a run, which the next sweep in the folder repeats.

    Attributes:
        name: Name of the folder that the run would have had.
        message: Reason of the failure.
    """

    name: str
    message: str


SweepEvent: TypeAlias = SweepStarted | SweepProgressed | RunEnded | RunFailed
SweepListener: TypeAlias = Callable[[SweepEvent], None]
