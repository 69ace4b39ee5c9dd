"""The programs beside which ``charloom train`` records a run: TensorBoard, Weights & Biases."""

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


def check_installed(**wanted: bool | None) -> None:
    """Raises SettingsError for a program that is wanted and not installed: before a text of gigabytes is read."""
    for program, is_wanted in wanted.items():
        if is_wanted and find_spec(program) is None:
            raise SettingsError(f"{program} is not installed: pip install 'charloom[{program}]'")


@contextmanager
def open_trackers(
    run: "TrainingRun", *, tensorboard: bool | None, wandb: bool
) -> Iterator[tuple[list["Tracker"], dict[str, object]]]:
    """Opens those that are wanted, in the first process; closes them at the end, as failed if an error ends the run.

    TensorBoard is wanted by default if the run that is resumed had it. What leaves the machine is asked for each time:
    a folder from elsewhere does not begin it. Yields listeners, and what a checkpoint keeps of them as JSON values.
    """
    before = run.start.source.get("trackers")
    before = before if isinstance(before, dict) else {}
    listeners: list[Tracker] = []
    stored: dict[str, object] = {}
    if run.is_done or not run.processes.is_rank_zero:
        yield listeners, stored
        return
    with ExitStack() as stack:
        if before.get("tensorboard") is True if tensorboard is None else tensorboard:
            if find_spec("tensorboard") is None:
                raise SettingsError(
                    "the run was recorded for TensorBoard, which is not installed here: pip install "
                    "'charloom[tensorboard]', or go on with --no-tensorboard"
                )
            from charloom.runs.trackers import TensorBoard

            listeners.append(stack.enter_context(TensorBoard(run.folder.path, _config(run))))
            stored["tensorboard"] = True
        if wandb:
            from charloom.runs.trackers import WeightsAndBiases

            known = run.plan.continues_in_folder and _RUN_ID.fullmatch(str(before.get("wandb", "")))
            name, run_id = run.folder.path.resolve().name, before["wandb"] if known else None
            tracker = stack.enter_context(WeightsAndBiases(name, _config(run), run_id=run_id))
            listeners.append(tracker)
            stored["wandb"] = tracker.run_id
        yield listeners, stored


def _config(run: "TrainingRun") -> dict[str, object]:
    """The run's settings, flat."""
    start = run.start
    text = {"name": start.corpus.name, "num_chars": len(start.corpus.ids), "sha256": start.corpus.fingerprint}
    parts = {"corpus": text, "model": asdict(start.model.settings), "training": asdict(start.settings)}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
