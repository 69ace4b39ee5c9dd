"""The checkpoints of a run that one process trains, or several: all give their part, the first one writes.

A checkpoint has the state of all lanes, so that a run may go on with another number of processes.
"""

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from charloom.errors import CheckpointError
from charloom.recurrence.state import map_parts
from charloom.shapes import State
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import CheckpointFolder, newest_checkpoint
from charloom.training.processes import Processes
from charloom.training.state import TrainingState


class SharedCheckpoints:
    """What ``train`` tells of its run; where nobody has a folder for checkpoints, nothing comes of it."""

    def __init__(self, folder: CheckpointFolder | None, processes: Processes) -> None:
        self._folder = folder if processes.first else None
        self._processes = processes
        self._wanted = bool(processes.sum(torch.tensor(int(self._folder is not None))))
        self._ended = False

    def begin(self, training: TrainingState, corpus: dict[str, Any], resumed: Checkpoint | None) -> None:
        """Puts the run where it was interrupted, if it was, and writes the first checkpoint."""
        if resumed is not None:
            resumed.restore(training, self._processes.rank, self._processes.size)
            if training.progress is not None:
                training.progress = training.progress._replace(
                    state=self._own_lanes(training.progress.state, training.settings.rows)
                )
        if self._wanted:
            whole = self._whole(training)
            if self._folder is not None:
                self._folder.begin(whole, corpus, resumed)

    def due(self, training: TrainingState) -> bool:
        """Whether the first process wants one written by now."""
        return self._folder is not None and self._folder.due(training)

    def write(self, training: TrainingState) -> None:
        """All processes must call it, after the same step. See ``CheckpointFolder.write``."""
        if not self._wanted or self._ended:
            return
        training.check()
        whole = self._whole(training)
        if self._folder is not None:
            self._folder.write(whole)

    def rescue(self, training: TrainingState) -> None:
        """Writes one where something is about to end a process that is alone, between two steps."""
        if self._processes.size == 1:
            self.write(training)

    def finish(self, training: TrainingState) -> None:
        """The run is at its end."""
        if self._wanted:
            training.check()
            whole = self._whole(training)
            if self._folder is not None:
                self._folder.finish(whole)
        self._ended = True

    @property
    def last_in_words(self) -> str:
        """Where the last one is; empty where there is none, or where another process wrote it."""
        return self._folder.last_in_words if self._folder is not None else ""

    def _whole(self, training: TrainingState) -> TrainingState:
        """The run with all lanes' state, and the random states of all processes."""
        if self._processes.size == 1:
            return training
        _, *others = self._processes.gather(training.random_state)
        whole = replace(training, other_random_states=tuple(others))
        if training.progress is not None and training.progress.state is not None:
            state = training.progress.state
            state = map_parts(lambda part: torch.cat(self._processes.gather(part), 1), state)
            whole.progress = training.progress._replace(state=state)
        return whole

    def _own_lanes(self, state: State | None, batch_size: int) -> State | None:
        rows = self._processes.share(batch_size)
        return None if state is None else map_parts(lambda part: part[:, rows].contiguous(), state)


def newest_checkpoint_of(processes: Processes, path: Path, *, of_this_run: bool = False) -> Checkpoint | None:
    """The last checkpoint that any of the processes finds in a run's folder, or in that file; None where none does.

    It is sent to all: the folder may be on one machine only, and after a restart the first process on another.

    of_this_run: Of what torchrun started anew, and not of an earlier run that was in the folder.
    """
    found = None
    with contextlib.suppress(CheckpointError):
        found = newest_checkpoint(path)
    if found is not None and of_this_run and found.source.get("run") != processes.run:
        found = None
    steps = [int(count) for count in processes.gather(torch.tensor(found.steps if found else -1))]
    source = steps.index(max(steps))
    if processes.size == 1 or steps[source] < 0:
        return found
    is_source = processes.rank == source
    content = processes.broadcast(found.path.read_bytes() if found and is_source else b"", source)
    if is_source:
        return found
    with tempfile.NamedTemporaryFile(prefix="charloom-", suffix=".checkpoint") as file:
        file.write(content)
        file.flush()
        return Checkpoint.read(file.name)
