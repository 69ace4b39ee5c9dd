"""The checkpoints in the folder of a run: when one is written, which are kept, which one a run goes on from.

One that cannot be written is told and does not end the run; a damaged one is told, and the one before it taken.
"""

import contextlib
import errno
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from charloom.arguments import PATH, check_type
from charloom.errors import CharloomWarning, CheckpointError
from charloom.io.atomic import remove_leftovers
from charloom.models.folder import CHECKPOINTS
from charloom.training.checkpoints.checkpoint import Checkpoint, save_checkpoint
from charloom.training.state import TrainingState

FOLDER = CHECKPOINTS
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAME = re.compile(r"step-(\d{10,16})\.checkpoint")


class CheckpointFolder:
    """Where ``train`` writes checkpoints, as often as its settings say: ``checkpoints`` below the folder of a run."""

    def __init__(self, path: str | Path, *, source: Mapping[str, Any] | None = None) -> None:
        """Nothing is written yet.

        path: The run's folder. source: Where its text comes from, as JSON values: kept in each checkpoint.
        """
        check_type(PATH, path=path)
        check_type((Mapping, NoneType), source=source)
        self.path = Path(path) / FOLDER
        self.last: Path | None = None
        self._source = dict(source or {})
        self._corpus: dict[str, Any] = {}
        self._written_at = 0.0
        self._last_place = ""
        self._failing = False

    def begin(self, training: TrainingState, corpus: dict[str, Any], resumed: Checkpoint | None = None) -> None:
        """Writes the first one, so that there is always one to go on from; those of other runs that stand here go.

        corpus: ``name``, ``sha256`` and ``num_chars`` of the text. resumed: What the run goes on from.
        """
        self._corpus = corpus
        self._written_at = time.monotonic()
        remove_leftovers(self.path, _NAME)
        goes_on_here = resumed is not None and resumed.path.parent.resolve() == self.path.resolve()
        files = checkpoint_files(self.path)
        if goes_on_here and resumed is not None:
            files = newer_checkpoints(resumed.path)
        for path in files:
            path.unlink(missing_ok=True)
        if goes_on_here and resumed is not None and resumed.path.exists():
            self.last, self._last_place = resumed.path, resumed.place
        else:
            self.write(training)

    def due(self, training: TrainingState) -> bool:
        """Whether it is time to write one, by the clock."""
        minutes = training.settings.checkpoint_minutes
        return bool(minutes) and time.monotonic() - self._written_at >= 60 * minutes

    def write(self, training: TrainingState) -> None:
        """Writes one now. Raises TrainingDivergedError where the run is worth none; warns where the disk takes none."""
        training.check()
        path = self.path / f"step-{training.steps:010d}.checkpoint"
        try:
            self._write(path, training)
        except OSError as error:
            self._warn_of_failure(error)
        else:
            self._failing = False
            self.last, self._last_place = path, training.place
            self._keep(training.settings.keep_checkpoints)
        self._written_at = time.monotonic()

    def finish(self, training: TrainingState) -> None:
        """Writes the last one of a run that is at its end, and keeps it alone: from it, one can train longer."""
        self.write(training)
        if not self._failing:
            self._keep(1)

    @property
    def behind(self) -> bool:
        """Whether the run is further than the last one, as the disk took none."""
        return self._failing

    @property
    def last_in_words(self) -> str:
        """Where the last one is, and how far the run had come; empty where there is none."""
        return f"{self.last} ({self._last_place})" if self.last is not None else ""

    def _write(self, path: Path, training: TrainingState) -> None:
        if self.last is not None and not self.path.is_dir():
            _note(f"{self.path} is gone; it is made anew, as training goes on")
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            save_checkpoint(path, training, self._corpus, self._source)
        except OSError as error:
            if error.errno not in _FULL or len(checkpoint_files(self.path)) < 2:
                raise
            self._keep(1)  # which may have made the room that was lacking
            save_checkpoint(path, training, self._corpus, self._source)

    def _keep(self, number: int) -> None:
        with contextlib.suppress(OSError):
            for path in checkpoint_files(self.path)[:-number]:
                path.unlink(missing_ok=True)

    def _warn_of_failure(self, error: OSError) -> None:
        """Once, until one succeeds again."""
        if not self._failing:
            there = f"the last good one is {self.last_in_words}" if self.last else "there is none yet"
            _note(
                f"no checkpoint written to {self.path} ({error.strerror or error}): {there}; as long as training goes "
                "on, it is tried again"
            )
        self._failing = True


def checkpoint_files(folder: Path) -> list[Path]:
    """The files of checkpoints, oldest first; none where there is no such folder."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return [folder / name for name in sorted(filter(_NAME.fullmatch, names), key=_in_order)]


def newer_checkpoints(path: Path) -> list[Path]:
    """Those that stand beside a checkpoint and come after it."""
    return [file for file in checkpoint_files(path.parent) if _in_order(file.name) > _in_order(path.name)]


def run_of(path: Path) -> Path | None:
    """The folder of the run that a path names: that folder, the one of its checkpoints, or one of those.

    None for a file of another place.
    """
    whole = path.resolve()
    if path.is_file():
        return whole.parent.parent if whole.parent.name == FOLDER and _NAME.fullmatch(whole.name) else None
    return whole.parent if whole.name == FOLDER and checkpoint_files(path) else path


def _in_order(name: str) -> tuple[int, str]:
    return len(name), name


def has_steps(path: Path) -> bool:
    """Whether the folder of a run has checkpoints that are more than its beginning."""
    return any(int(_NAME.fullmatch(file.name)[1]) for file in checkpoint_files(path / FOLDER))  # type: ignore[index]


def newest_checkpoint(path: str | Path) -> Checkpoint:
    """The last whole checkpoint of a run's folder (or the one in a file), with a warning for each newer damaged one.

    Raises CheckpointError where there is none.
    """
    check_type(PATH, path=path)
    run = run_of(Path(path))
    if run is None or Path(path).is_file():
        return Checkpoint.read(path)
    files = checkpoint_files(run / FOLDER)
    damaged: list[CheckpointError] = []
    for file in reversed(files):
        try:
            checkpoint = Checkpoint.read(file)
        except CheckpointError as error:
            damaged.append(error)
            continue
        for reason in damaged:
            _note(f"{reason}; going on from the one before it")
        return checkpoint
    if damaged:
        raise CheckpointError(f"{run}: no checkpoint can be read; the newest: {damaged[0]}")
    if not run.is_dir():
        raise CheckpointError(f"{run}: no such folder")
    raise CheckpointError(f"{run}: no checkpoint there to go on from")


def _note(message: str) -> None:
    warnings.warn(message, CharloomWarning, stacklevel=4)
