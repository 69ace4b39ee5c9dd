"""The programs beside which ``charloom train`` records a run: TensorBoard, Weights & Biases."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from charloom.errors import SettingsError

if TYPE_CHECKING:
    from charloom.runs.trackers import Tracker
    from charloom.runs.training_run import TrainingRun

_RUN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class WantedTrackers:
    """Which are wanted. None is for no, but for TensorBoard where the run that is resumed had it.

    What leaves the machine is asked for each time: a folder from elsewhere does not begin it.
    """

    tensorboard: bool | None = None
    wandb: bool = False

    def __post_init__(self) -> None:
        # Before a text of gigabytes is read.
        for program, wanted in vars(self).items():
            if wanted and find_spec(program) is None:
                raise SettingsError(f"{program} is not installed: pip install 'charloom[{program}]'")


class OpenTrackers:
    """Those of a run.

    Attributes:
        listeners: To give to training.
        stored: What a checkpoint keeps, so that a resumed run goes on in them, as JSON values.
    """

    def __init__(self) -> None:
        self.listeners: list[Tracker] = []
        self.stored: dict[str, Any] = {}


@contextmanager
def open_trackers(wanted: WantedTrackers, run: "TrainingRun") -> Iterator[OpenTrackers]:
    """Opens those that are wanted; closes them at the end, as failed if an error ends the run."""
    before = run.start.source.get("trackers")
    before = before if isinstance(before, dict) else {}
    run_id = (
        before.get("wandb")
        if run.plan.continues_in_folder and _RUN_ID.fullmatch(str(before.get("wandb", "")))
        else None
    )
    opened = OpenTrackers()
    with ExitStack() as stack:
        if before.get("tensorboard") is True if wanted.tensorboard is None else wanted.tensorboard:
            if find_spec("tensorboard") is None:
                raise SettingsError(
                    "the run was recorded for TensorBoard, which is not installed here: pip install "
                    "'charloom[tensorboard]', or go on with --no-tensorboard"
                )
            from charloom.runs.trackers import TensorBoard

            board = TensorBoard(run.folder.path, _config(run))
            opened.listeners.append(stack.enter_context(board))
            opened.stored["tensorboard"] = True
        if wanted.wandb:
            from charloom.runs.trackers import WeightsAndBiases

            tracker = WeightsAndBiases(run.folder.path.resolve().name, _config(run), run_id=run_id)
            opened.listeners.append(stack.enter_context(tracker))
            opened.stored["wandb"] = tracker.run_id
        yield opened


def _config(run: "TrainingRun") -> dict[str, Any]:
    """The run's settings, flat."""
    start = run.start
    text = {"name": start.corpus.name, "num_chars": len(start.corpus.ids), "sha256": start.corpus.fingerprint}
    parts = {"corpus": text, "model": asdict(start.model.settings), "training": asdict(start.settings)}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
