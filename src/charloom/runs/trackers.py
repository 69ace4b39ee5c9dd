"""Listeners that log the curves and samples of a run to TensorBoard or to Weights & Biases.

Both programs are optional (``pip install 'charloom[tensorboard]'``, ``'charloom[wandb]'``), and neither can end a run:
an error in one of them is reported once, and training continues without it.
"""

import contextlib
import html
import os
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType, NoneType, TracebackType
from typing import TYPE_CHECKING, Self

from charloom.errors import CharloomError, CharloomWarning, SettingsError
from charloom.training.events import EpochEnded, Event, SampleDrawn, StepEnded
from charloom_codec.arguments import PATH, check_type

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SECONDS_BETWEEN_POINTS = 1.0
"""Minimum interval between the points of a curve within an epoch: reading the loss synchronizes with the GPU."""


class Tracker(ABC):
    """Base class of listeners that log events as named numbers and texts by the step of the run.

    A tracker is a context manager, which closes the log at its end.

    Attributes:
        name: Name of the program, for messages.
    """

    name: str

    def __init__(self) -> None:
        # The first step is logged immediately.
        self._last_point_at = float("-inf")
        self._sample = 0
        self._failed = False

    def __call__(self, event: Event) -> None:
        """Logs an event; of the steps within an epoch, at most one per second."""
        values: dict[str, float | str]
        if isinstance(event, StepEnded) and time.monotonic() - self._last_point_at >= _SECONDS_BETWEEN_POINTS:
            self._last_point_at = time.monotonic()
            values = {
                "training/loss": float(event.mean_loss),
                "training/chars_per_second": event.chars_per_second,
                "training/learning_rate": event.learning_rate,
            }
        elif isinstance(event, EpochEnded):
            self._sample = 0  # samples follow the end of their epoch and are numbered within it
            values = {"perplexity/training": event.record.perplexity, "epoch": event.record.epoch}
            if event.record.validation_perplexity is not None:
                values["perplexity/validation"] = event.record.validation_perplexity
        elif isinstance(event, SampleDrawn):
            self._sample += 1
            values = {f"sample/{self._sample}": event.text}
        else:
            return
        # By steps, not epochs: points of a resumed run continue the curves of the run that was interrupted.
        self._attempt(lambda: self._write(values, event.steps))

    def _attempt(self, action: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            action()
        # Of any class: the programs raise errors of their own for a full disk or a lost connection.
        except Exception as error:
            self._failed = True
            # An error may have no text: the name of its class still identifies it.
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            warnings.warn(
                f"logging to {self.name} failed ({reason:.300}) and is disabled for the rest of the run; training "
                "continues",
                CharloomWarning,
                stacklevel=3,
            )

    @abstractmethod
    def _write(self, values: Mapping[str, float | str], step: int) -> None: ...

    @abstractmethod
    def _close(self, *, failed: bool) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # After an error, _attempt does nothing: the program is closed here, and a second error is not reported.
        if self._failed:
            with contextlib.suppress(Exception):
                self._close(failed=True)
        self._attempt(lambda: self._close(failed=error is not None))


class TensorBoard(Tracker):
    """Tracker that writes to a folder for TensorBoard; ``tensorboard --logdir FOLDER`` shows the run while it trains.

    A run resumed from a checkpoint writes to the same folder: points that were logged after that checkpoint before the
    interruption are hidden.
    """

    name = "TensorBoard"

    def __init__(self, path: str | Path, config: Mapping[str, object] | None = None) -> None:
        """Prepares the tracker; nothing is written before the first event.

        Args:
            path: Folder to write to.
            config: Settings of the run, shown as a table; None to show none.

        Raises:
            SettingsError: TensorBoard is not installed.
        """
        super().__init__()
        check_type(PATH, path=path)
        check_type((Mapping, NoneType), config=config)
        self._path, self._config = Path(path), config
        self._make_writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer: SummaryWriter | None = None
        self._default_hook = threading.excepthook

    def _write(self, values: Mapping[str, float | str], step: int) -> None:
        for name, value in values.items():
            if isinstance(value, str):
                # Indented as code, since TensorBoard renders text as Markdown.
                code = "".join(f"    {line}\n" for line in value.splitlines())
                # A sample is the last event of its step: if it opens the writer, other points of the step stay visible.
                self._open(step + 1).add_text(name, code, step)
            else:
                self._open(step).add_scalar(name, value, step)

    def _open(self, step: int) -> "SummaryWriter":
        """Returns the writer; creates it on the first call, to hide what an earlier run logged from ``step`` on."""
        if self._writer is None:
            # SummaryWriter does not expose its threads: they are those that exist after its start and not before.
            before = set(threading.enumerate())
            self._writer = self._make_writer(str(self._path), purge_step=step, flush_secs=1)
            own, default = set(threading.enumerate()) - before, self._default_hook
            # Suppresses the traceback of a failed TensorBoard thread: the next write raises the same error here.
            threading.excepthook = lambda failure: None if failure.thread in own else default(failure)
            if self._config:
                rows = "".join(f"| {name} | `{value}` |\n" for name, value in self._config.items())
                self._writer.add_text("settings", f"| setting | value |\n|:--|:--|\n{rows}", step)
        return self._writer

    def _close(self, *, failed: bool) -> None:  # noqa: ARG002 - TensorBoard records no status
        if self._writer is not None:
            try:
                self._writer.close()
            finally:
                threading.excepthook = self._default_hook


class WeightsAndBiases(Tracker):
    """Tracker that logs to a run on Weights & Biases.

    With ``WANDB_MODE=offline``, it logs to a folder that ``wandb sync`` uploads later. The environment variables of
    wandb apply (``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_MODE``, ``WANDB_DIR``, ...).

    Attributes:
        run_id: Identifier of the run on Weights & Biases, by which it is resumed. Steps that were logged before are
            not logged twice.
    """

    name = "Weights & Biases"

    def __init__(self, name: str, config: Mapping[str, object] | None = None, *, run_id: str | None = None) -> None:
        """Starts or resumes a run, in the project "charloom" unless ``WANDB_PROJECT`` is set.

        Args:
            name: Name of the run to display, unless ``WANDB_NAME`` is set.
            config: Settings of the run to display; None to show none.
            run_id: Identifier of the run to resume; None for a new run.

        Raises:
            SettingsError: wandb is not installed.
            CharloomError: The run cannot be started (no key, no network).
        """
        super().__init__()
        check_type(str, name=name)
        check_type((str, NoneType), run_id=run_id)
        check_type((Mapping, NoneType), config=config)
        self._wandb = _import("wandb", "wandb")
        try:
            self._run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", "charloom"),
                name=os.environ.get("WANDB_NAME", name),
                config=dict(config or {}),
                id=run_id,
                # "allow" also creates the run, if it was deleted there or never uploaded.
                resume="allow" if run_id else None,
                # wandb captures the console by default: each update of a progress bar would be logged as a line.
                settings=self._wandb.Settings(console="off"),
            )
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise CharloomError(
                f"Weights & Biases: {reason}; set WANDB_MODE=offline to log to a local folder"
            ) from None
        self.run_id: str = self._run.id
        # A run is summarized by its best epoch: the last one is worse if the model overfits.
        self._run.define_metric("perplexity/*", summary="min")

    def _write(self, values: Mapping[str, float | str], step: int) -> None:
        shown: dict[str, object] = {
            # Preformatted: a sample's line breaks and spaces count.
            name: self._wandb.Html(f"<pre>{html.escape(value)}</pre>", inject=False)
            if isinstance(value, str)
            else value
            for name, value in values.items()
        }
        self._run.log(shown, step=step)

    def _close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def _import(module: str, program: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError:
        raise SettingsError(f"{program} is not installed; install it with pip install 'charloom[{program}]'") from None
