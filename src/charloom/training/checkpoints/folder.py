"""The checkpoints in the folder of a run: when one is written, which are kept, which one a run goes on from.

One that cannot be written is told and does not end the run; a damaged one is told, and the one before it taken.
"""

import contextlib
import errno
import re
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import NoneType

import torch
from torch import distributed

from charloom.arguments import PATH, check_type
from charloom.errors import CharloomWarning, CheckpointError
from charloom.io.atomic import remove_leftovers
from charloom.models.folder import CHECKPOINTS
from charloom.recurrence.state import map_state
from charloom.training.checkpoints.checkpoint import Checkpoint, save_checkpoint
from charloom.training.processes import Processes, call_collective
from charloom.training.state import TrainingState, describe_position

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAME = re.compile(r"step-(\d{10,16})\.checkpoint")


class CheckpointFolder:
    """Writes the checkpoints of a run to ``checkpoints`` in its folder, as often as its settings say.

    If several processes train, each has one, all give their part, and the first one writes. A checkpoint has the state
    of all lanes, so that a run may go on with another number of processes.

    Attributes:
        path: The folder of the checkpoints.
        last: The last one; None if there is none.
        behind: True if the run is further than the last one, as the disk took none.
    """

    def __init__(self, path: str | Path, *, source: Mapping[str, object] | None = None) -> None:
        """path: The run's folder. source: Where its text comes from, as JSON values: kept in each checkpoint."""
        check_type(PATH, path=path)
        check_type((Mapping, NoneType), source=source)
        self.path = Path(path) / CHECKPOINTS
        self.last: Path | None = None
        self._about: dict[str, object] = {"source": dict(source or {})}
        self._processes = Processes()
        self._written_at = 0.0
        self._last_place = ""
        self.behind = False

    def begin(
        self,
        training: TrainingState,
        corpus: dict[str, str | int],
        resumed: Checkpoint | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Writes the first one, so that there is always one to go on from; those of other runs that stand here go."""
        self._about["corpus"] = corpus
        self._processes = processes or Processes()
        self._written_at = time.monotonic()
        if self._processes.is_rank_zero:
            remove_leftovers(self.path, _NAME)
            after = -1
            if resumed is not None and resumed.path.parent.resolve() == self.path.resolve():
                after = steps_of(resumed.path)
                self.last, self._last_place = resumed.path, resumed.place
            for path in checkpoint_files(self.path, after):
                path.unlink(missing_ok=True)
        self.write(training)

    def due(self, training: TrainingState) -> bool:
        """True if it is time to write one, by the first process' clock."""
        minutes = training.settings.checkpoint_minutes
        return self._processes.is_rank_zero and bool(minutes) and time.monotonic() - self._written_at >= 60 * minutes

    def write(self, training: TrainingState) -> None:
        """Writes one now. All processes call it, after the same step.

        Raises TrainingDivergedError if the run is worth none; warns if the disk takes none.
        """
        training.check()
        random_states = self._processes.all_gather(training.random_state)
        state = training.progress.state if training.progress is not None else None
        if state is not None:
            state = map_state(lambda part: torch.cat(self._processes.all_gather(part), 1), state)
        if not self._processes.is_rank_zero:
            return
        path = self.path / f"step-{training.steps:010d}.checkpoint"
        try:
            if self.last is not None and not self.path.is_dir():
                _note(f"{self.path} is missing; it is created again, and training continues")
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                save_checkpoint(path, training, state, random_states, self._about)
            except OSError as error:
                if error.errno not in _FULL or len(checkpoint_files(self.path)) < 2:
                    raise
                self._keep(1)  # which may have made the room that was lacking
                save_checkpoint(path, training, state, random_states, self._about)
        except OSError as error:
            if not self.behind:  # told once, until one succeeds again
                there = f"the last good one is {self.describe_last}" if self.last else "there is none yet"
                _note(
                    f"no checkpoint written to {self.path} ({error.strerror or error}): {there}; "
                    "training continues and tries again"
                )
            self.behind = True
        else:
            self.behind = False
            done, num_batches = training.progress[:2] if training.progress else (0, 0)
            self.last, self._last_place = path, describe_position(len(training.history), done, num_batches)
            self._keep(training.settings.keep_checkpoints)
        self._written_at = time.monotonic()

    def finish(self, training: TrainingState) -> None:
        """Writes the last one of a run that is at its end, and keeps it alone: from it, one can train longer."""
        self.write(training)
        if self._processes.is_rank_zero and not self.behind:
            self._keep(1)

    @property
    def describe_last(self) -> str:
        """The path of the last one, and how far the run had come; empty if there is none."""
        return f"{self.last} ({self._last_place})" if self.last is not None else ""

    def _keep(self, number: int) -> None:
        with contextlib.suppress(OSError):
            for path in checkpoint_files(self.path)[:-number]:
                path.unlink(missing_ok=True)


def steps_of(path: Path) -> int:
    """The steps that a run had made at a checkpoint, by the file's name; -1 for another file."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else -1


def checkpoint_files(folder: Path, after: int = -1) -> list[Path]:
    """The files of checkpoints, oldest first; none if there is no such folder. after: Only those of more steps."""
    with contextlib.suppress(OSError):
        return sorted((file for file in folder.iterdir() if steps_of(file) > after), key=steps_of)
    return []


def run_of(path: Path) -> Path | None:
    """The folder of the run that a path names: it, its checkpoints' folder, or one of those. None for other files."""
    whole = path.resolve()
    if path.is_file():
        return whole.parent.parent if whole.parent.name == CHECKPOINTS and _NAME.fullmatch(whole.name) else None
    return whole.parent if whole.name == CHECKPOINTS and checkpoint_files(path) else path


def newest_checkpoint(path: str | Path) -> Checkpoint:
    """The last whole checkpoint of a run's folder (or the one in a file), with a warning for each newer damaged one.

    Raises CheckpointError where there is none.
    """
    check_type(PATH, path=path)
    run = run_of(Path(path))
    if run is None or Path(path).is_file():
        return Checkpoint.read(path)
    files = checkpoint_files(run / CHECKPOINTS)
    damaged: list[CheckpointError] = []
    for file in reversed(files):
        try:
            checkpoint = Checkpoint.read(file)
        except CheckpointError as error:
            damaged.append(error)
            continue
        for reason in damaged:
            _note(f"{reason}; resuming from the previous checkpoint")
        return checkpoint
    if damaged:
        raise CheckpointError(f"{run}: no checkpoint can be read; the newest: {damaged[0]}")
    if not run.is_dir():
        raise CheckpointError(f"{run}: no such folder")
    raise CheckpointError(f"{run}: no checkpoint to resume from")


def _note(message: str) -> None:
    warnings.warn(message, CharloomWarning, stacklevel=4)


def newest_checkpoint_of(processes: Processes, path: Path, *, of_this_run: bool = False) -> Checkpoint | None:
    """The last checkpoint that any of the processes finds in a run's folder, or in that file; None if none does.

    It is sent to all: the folder may be on one machine only, and after a restart the first process on another.

    of_this_run: Of what torchrun started anew, and not of an earlier run that was in the folder.
    """
    found = None
    with contextlib.suppress(CheckpointError):
        found = newest_checkpoint(path)
    if found is not None and of_this_run and found.source.get("run") != processes.run:
        found = None
    steps = [int(count) for count in processes.all_gather(torch.tensor(found.steps if found else -1))]
    source = steps.index(max(steps))
    if processes.size == 1 or steps[source] < 0:
        return found
    is_source = processes.rank == source
    content = [found.path.read_bytes() if found and is_source else b""]
    call_collective(lambda: distributed.broadcast_object_list(content, source))
    if is_source:
        return found
    with tempfile.NamedTemporaryFile(prefix="charloom-", suffix=".checkpoint") as file:
        file.write(content[0])
        file.flush()
        return Checkpoint.read(file.name)
