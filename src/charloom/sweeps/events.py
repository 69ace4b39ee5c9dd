"""What a sweep tells its listeners. One that raises ``StopTraining`` ends it; what is done stays done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from charloom.sweeps.results import SweepRun


@dataclass(frozen=True)
class SweepStarted:
    """All has been checked; processes are about to start.

    Attributes:
        num_done: Runs that had been done before.
        num_to_do: Runs that are to be done now.
        num_jobs: Processes.
        threads: Of each.
    """

    num_done: int
    num_to_do: int
    num_jobs: int
    threads: int


@dataclass(frozen=True)
class SweepProgressed:
    """A few times in a second.

    Attributes:
        fraction: Of the epochs that are to be trained now, those that are.
    """

    fraction: float


@dataclass(frozen=True)
class RunEnded:
    """A run came to its end, and is in the folder."""

    run: SweepRun


@dataclass(frozen=True)
class RunFailed:
    """A run did not, and is tried again by the next sweep in the folder.

    Attributes:
        name: Of its folder, had there been one.
        message: Why.
    """

    name: str
    message: str


SweepEvent: TypeAlias = SweepStarted | SweepProgressed | RunEnded | RunFailed
SweepListener: TypeAlias = Callable[[SweepEvent], None]
