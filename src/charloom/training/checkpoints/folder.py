"""The checkpoint folder of a run: writing, retention and selection of the checkpoint to resume from.

If a checkpoint cannot be written, a warning is emitted and training continues. If one is damaged, a warning is emitted
and the one before it is used. The contents of a checkpoint are in ``checkpoint``, its file format in ``file_format``.
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

from charloom.errors import CharloomWarning, CheckpointError
from charloom.models.folder import CHECKPOINT_FOLDER
from charloom.recurrence.state import map_state
from charloom.training.checkpoints.checkpoint import Checkpoint, save_checkpoint
from charloom.training.processes import Processes
from charloom.training.state import TrainingState, describe_position
from charloom_codec.arguments import PATH, check_type
from charloom_codec.io.atomic import remove_leftovers

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Steps are padded to 10 digits; 16 digits suffice for the largest step count that a checkpoint can store, 2**53.
_NAME = re.compile(r"step-(\d{10,16})\.checkpoint")


class CheckpointFolder:
    """Writer of a run's checkpoints to ``checkpoints`` in its folder; the training loop decides when.

    If several processes train, each has a ``CheckpointFolder``: all contribute their part, and rank 0 writes. A
    checkpoint contains the state of all sequences, so a run can be resumed with a different number of processes.

    Attributes:
        path: The folder ``checkpoints`` in the folder of the run, not the argument ``path``.
        last: Path of the last checkpoint that was written, or of the one that the run was resumed from if it is in this
            folder. None if there is none, and on all ranks but 0.
        is_behind: True if the last attempt to write a checkpoint failed, so that the run is ahead of ``last``; False on
            all ranks but 0.
    """

    def __init__(self, path: str | Path, *, source: Mapping[str, object] | None = None) -> None:
        """Prepares the writer; the folder is created when the first checkpoint is written.

        Args:
            path: Folder of the run.
            source: Origin of the text, as JSON values, to store in each checkpoint.
        """
        check_type(PATH, path=path)
        check_type((Mapping, NoneType), source=source)
        self.path = Path(path) / CHECKPOINT_FOLDER
        self.last: Path | None = None
        self._about: dict[str, object] = {"source": dict(source or {})}
        self._processes = Processes()
        self._attempted_at = 0.0
        self._last_position = ""
        self.is_behind = False

    def start(
        self,
        training: TrainingState,
        corpus: dict[str, str | int],
        resumed: Checkpoint | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Deletes temporary files and the checkpoints of other runs, and writes one of this run, even if it is resumed.

        All processes must call this.

        Args:
            training: State of the run.
            corpus: The ``identity`` of its text.
            resumed: Checkpoint that the run was resumed from. If it is in this folder, only later ones are deleted.
            processes: Process group of the run; None for a single process.
        """
        self._about["corpus"] = corpus
        self._processes = processes or Processes()
        self._attempted_at = time.monotonic()
        if self._processes.is_rank_zero:
            remove_leftovers(self.path, _NAME)
            after = -1
            if resumed is not None and resumed.path.parent.resolve() == self.path.resolve():
                # Later checkpoints are of a future that this run does not continue from.
                after = parse_step_number(resumed.path)
                self.last, self._last_position = resumed.path, resumed.position
            for path in list_checkpoint_files(self.path, after):
                path.unlink(missing_ok=True)
        # Written before the next step, so that there is always a checkpoint to resume from.
        self.write(training)

    def is_due_by_time(self, training: TrainingState) -> bool:
        """Returns True if ``checkpoint_minutes`` have elapsed since the last attempt to write a checkpoint.

        Always False if the setting is 0 or None, and on all ranks but 0.
        """
        minutes = training.settings.checkpoint_minutes
        return self._processes.is_rank_zero and bool(minutes) and time.monotonic() - self._attempted_at >= 60 * minutes

    def write(self, training: TrainingState) -> None:
        """Writes a checkpoint, and deletes the oldest beyond ``keep_checkpoints``.

        All processes must call this after the same step. If the disk is full, all checkpoints but the newest are
        deleted, and the checkpoint is written again. Warns if it cannot be written, but not again until a
        checkpoint has been written. Raises TrainingDivergedError if the loss or a weight is not finite.
        """
        # Before anything is written: a diverged state would displace the checkpoints worth keeping.
        training.check_finite()
        # Every rank takes part in the collective calls before rank 0 alone writes the file.
        random_states = self._processes.all_gather(training.random_state)
        state = training.progress.state if training.progress is not None else None
        if state is not None:
            # Each rank has the state of its sequences, in dimension 1.
            state = map_state(lambda part: torch.cat(self._processes.all_gather(part), 1), state)
        if not self._processes.is_rank_zero:
            return
        path = self.path / f"step-{training.steps:010d}.checkpoint"
        try:
            if self.last is not None and not self.path.is_dir():
                _warn(f"{self.path} was missing and has been created again; training continues")
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                save_checkpoint(path, training, state, random_states, self._about)
            except OSError as error:
                if error.errno not in _DISK_FULL or len(list_checkpoint_files(self.path)) < 2:
                    raise
                self._keep_newest(1)  # which may free the space for this one
                save_checkpoint(path, training, state, random_states, self._about)
        except OSError as error:
            if not self.is_behind:  # warns once, until a checkpoint is written again
                last = f"the last good one is {self.last_description}" if self.last else "there is none yet"
                _warn(
                    f"no checkpoint could be written to {self.path} ({error.strerror or error}): {last}; training "
                    "continues, and writing will be retried"
                )
            self.is_behind = True
        else:
            self.is_behind = False
            done, num_batches = training.progress[:2] if training.progress else (0, 0)
            self.last, self._last_position = path, describe_position(len(training.history), done, num_batches)
            self._keep_newest(training.settings.keep_checkpoints)
        # Also after a failure: the next attempt is made after the full interval, not after the next step.
        self._attempted_at = time.monotonic()

    def finish(self, training: TrainingState) -> None:
        """Writes the last checkpoint of a run, from which it can be trained longer, and deletes the others.

        If it cannot be written, the others are kept.
        """
        self.write(training)
        if self._processes.is_rank_zero and not self.is_behind:
            self._keep_newest(1)

    @property
    def last_description(self) -> str:
        """Path of the last checkpoint and its position in the run; empty if there is none."""
        return f"{self.last} ({self._last_position})" if self.last is not None else ""

    def _keep_newest(self, max_checkpoints: int) -> None:
        """Deletes the oldest checkpoints, so that at most ``max_checkpoints`` are left."""
        with contextlib.suppress(OSError):  # an old checkpoint that cannot be deleted is no reason to stop training
            for path in list_checkpoint_files(self.path)[:-max_checkpoints]:
                path.unlink(missing_ok=True)


def parse_step_number(path: Path) -> int:
    """Returns the step number in the name of a checkpoint file; -1 for any other file."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else -1


def list_checkpoint_files(folder: Path, after: int = -1) -> list[Path]:
    """Returns the checkpoint files in a folder in the order of their steps; an empty list if it cannot be read.

    Args:
        folder: Folder of the checkpoints.
        after: Number of steps that the returned checkpoints must exceed; -1 for all.
    """
    with contextlib.suppress(OSError):
        return sorted((file for file in folder.iterdir() if parse_step_number(file) > after), key=parse_step_number)
    return []


def find_run_folder(path: Path) -> Path | None:
    """Returns the folder of a run.

    Args:
        path: The folder itself, its ``checkpoints`` folder if that has a checkpoint in it, or one of its checkpoint
            files.

    Returns:
        The folder of the run; ``path`` itself if it does not exist. None for a file that is not a checkpoint in a run's
        folder, and for a path that cannot exist.
    """
    try:
        absolute = path.resolve()
    except ValueError:  # a null character in the path
        return None
    if path.is_file():
        return (
            absolute.parent.parent
            if absolute.parent.name == CHECKPOINT_FOLDER and _NAME.fullmatch(absolute.name)
            else None
        )
    return absolute.parent if absolute.name == CHECKPOINT_FOLDER and list_checkpoint_files(path) else path


def newest_checkpoint(path: str | Path) -> Checkpoint:
    """Reads the last undamaged checkpoint of a run, and warns of each damaged one after it.

    Args:
        path: Folder of the run or of its checkpoints, or a single checkpoint file.

    Raises:
        CheckpointError: No checkpoint can be read.
    """
    check_type(PATH, path=path)
    run = find_run_folder(Path(path))
    if run is None or Path(path).is_file():
        return Checkpoint.read(path)
    files = list_checkpoint_files(run / CHECKPOINT_FOLDER)
    damaged: list[CheckpointError] = []
    # A crash of the machine may damage the newest file, hence more than one is kept by default.
    for file in reversed(files):
        try:
            checkpoint = Checkpoint.read(file)
        except CheckpointError as error:
            damaged.append(error)
            continue
        for reason in damaged:
            _warn(f"{reason}; resuming from the previous checkpoint")
        return checkpoint
    if damaged:
        raise CheckpointError(f"{run}: no checkpoint can be read; the error in the newest: {damaged[0]}")
    if not run.is_dir():
        raise CheckpointError(f"{run}: no such file or folder")
    raise CheckpointError(f"{run}: no checkpoint to resume from")


def _warn(message: str) -> None:
    warnings.warn(message, CharloomWarning, stacklevel=4)


def broadcast_newest_checkpoint(processes: Processes, path: Path, *, of_this_run: bool = False) -> Checkpoint | None:
    """Returns the newest checkpoint that any process can read, on all processes.

    Args:
        processes: Process group; all of its processes must call this.
        path: Folder of the run, or a checkpoint file.
        of_this_run: If True, ignores a checkpoint of an earlier run in the folder: only the run that torchrun
            restarted counts.

    Returns:
        The checkpoint. On a process that received it from another, ``path`` is that of a temporary file that no longer
        exists. None if no process can read one, even if there are damaged ones.
    """
    # The folder may exist on one machine only, and after a restart rank 0 may be on another.
    found = None
    with contextlib.suppress(CheckpointError):
        found = newest_checkpoint(path)
    if found is not None and of_this_run and found.source.get("run") != processes.run:
        found = None
    # The ranks agree by the number of steps; -1 for a rank that finds none.
    steps = [int(count) for count in processes.all_gather(torch.tensor(found.steps if found else -1))]
    source = steps.index(max(steps))
    if processes.size == 1 or steps[source] < 0:
        return found
    is_source = processes.rank == source
    # The bytes of the file are sent, not a pickled Checkpoint: the receivers verify the checksum again.
    content = [found.path.read_bytes() if found and is_source else b""]
    processes.call_collective(lambda: distributed.broadcast_object_list(content, source))
    if is_source:
        return found
    with tempfile.NamedTemporaryFile(prefix="charloom-", suffix=".checkpoint") as file:
        file.write(content[0])
        file.flush()
        return Checkpoint.read(file.name)
