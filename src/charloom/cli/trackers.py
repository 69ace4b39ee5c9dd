"""Experiment trackers of ``charloom train``: TensorBoard and Weights & Biases."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING

from charloom.errors import SettingsError

if TYPE_CHECKING:
    from charloom.runs.trackers import Tracker
    from charloom.runs.training_run import TrainingRun

_RUN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def check_installed(**requested: bool | None) -> None:
    """Raises SettingsError if a requested tracker is not installed."""
    # Called before the text is read, which takes minutes for gigabytes. find_spec does not import the package.
    for package, is_requested in requested.items():
        if is_requested and find_spec(package) is None:
            raise SettingsError(f"{package} is not installed; install it with pip install 'charloom[{package}]'")


@contextmanager
def open_trackers(
    run: "TrainingRun", *, tensorboard: bool | None, wandb: bool
) -> Iterator[tuple[list["Tracker"], dict[str, object]]]:
    """Opens the requested trackers in the first process, and closes them at the end, as failed after an error.

    Args:
        run: The training run.
        tensorboard: True to log for TensorBoard. Default: as in the resumed run; off for a new run.
        wandb: True to log to Weights & Biases. A resumed run does not turn it on.

    Yields:
        The trackers as listeners, and their JSON values for the checkpoints.
    """
    before = run.start.source.get("trackers")
    before = before if isinstance(before, dict) else {}
    listeners: list[Tracker] = []
    stored: dict[str, object] = {}
    if run.can_skip_training or not run.processes.is_rank_zero:
        yield listeners, stored
        return
    with ExitStack() as stack:
        if before.get("tensorboard") is True if tensorboard is None else tensorboard:
            if find_spec("tensorboard") is None:
                raise SettingsError(
                    "the run was logged to TensorBoard, which is not installed; install it with pip install "
                    "'charloom[tensorboard]', or resume with --no-tensorboard"
                )
            from charloom.runs.trackers import TensorBoard

            listeners.append(stack.enter_context(TensorBoard(run.folder.path, _config(run))))
            stored["tensorboard"] = True
        # Only the option starts an upload: a folder from someone else must not send data from this machine.
        if wandb:
            from charloom.runs.trackers import WeightsAndBiases

            # A run continued in another folder is a new run there. The stored id is checked:
            # the folder may come from anywhere.
            known = run.plan.continues_in_folder and _RUN_ID.fullmatch(str(before.get("wandb", "")))
            name, run_id = run.folder.path.resolve().name, before["wandb"] if known else None
            tracker = stack.enter_context(WeightsAndBiases(name, _config(run), run_id=run_id))
            listeners.append(tracker)
            # With the id from its checkpoint, a resumed run continues the same run on Weights & Biases.
            stored["wandb"] = tracker.run_id
        yield listeners, stored


def _config(run: "TrainingRun") -> dict[str, object]:
    """Returns the settings of a run as one flat dictionary."""
    start = run.start
    text = {"name": start.corpus.name, "num_chars": len(start.corpus.ids), "sha256": start.corpus.fingerprint}
    parts = {"corpus": text, "model": asdict(start.model.settings), "training": asdict(start.settings)}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
