"""The programs beside which ``charloom train`` records a run: TensorBoard, Weights & Biases."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charloom.cli.train_beginnings import Beginning
from charloom.errors import SettingsError
from charloom.settings import TrainingSettings

if TYPE_CHECKING:
    from charloom.training.trackers import Tracker

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
def open_trackers(
    wanted: WantedTrackers, folder: Path, begun: Beginning, training: TrainingSettings
) -> Iterator[OpenTrackers]:
    """Begins what is wanted; closes it at the end, as failed where an error ends the run."""
    before = begun.source.get("trackers")
    before = before if isinstance(before, dict) else {}
    goes_on_here = begun.checkpoint is not None and begun.checkpoint.path.parent.parent.resolve() == folder.resolve()
    run_id = before.get("wandb") if goes_on_here and _RUN_ID.fullmatch(str(before.get("wandb", ""))) else None
    opened = OpenTrackers()
    with ExitStack() as stack:
        if before.get("tensorboard") is True if wanted.tensorboard is None else wanted.tensorboard:
            if find_spec("tensorboard") is None:
                raise SettingsError(
                    "the run was recorded for TensorBoard, which is not installed here: pip install "
                    "'charloom[tensorboard]', or go on with --no-tensorboard"
                )
            from charloom.training.trackers import TensorBoard

            board = TensorBoard(folder, _config(begun, training))
            opened.listeners.append(stack.enter_context(board))
            opened.stored["tensorboard"] = True
        if wanted.wandb:
            from charloom.training.trackers import WeightsAndBiases

            run = WeightsAndBiases(folder.resolve().name, _config(begun, training), run_id=run_id)
            opened.listeners.append(stack.enter_context(run))
            opened.stored["wandb"] = run.run_id
        yield opened


def _config(begun: Beginning, training: TrainingSettings) -> dict[str, Any]:
    """What the run is, flat."""
    from charloom.model_building import settings_of

    text = {"name": begun.corpus.name, "num_chars": len(begun.corpus.ids), "sha256": begun.corpus.fingerprint}
    parts = {"corpus": text, "model": asdict(settings_of(begun.model)), "training": asdict(training)}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
