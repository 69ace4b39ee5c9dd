"""Curves and samples of a run, for TensorBoard and for Weights & Biases: listeners of what the progress bar shows.

Both programs are optional (``pip install 'charloom[tensorboard]'``, ``'charloom[wandb]'``), and neither decides about
a run: an error in them is reported once, and training continues without them.
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

from charloom.arguments import PATH, check_type
from charloom.errors import CharloomError, CharloomWarning, SettingsError
from charloom.training.events import EpochEnded, Event, SampleDrawn, StepEnded

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SECONDS_BETWEEN_POINTS = 1.0
"""Interval between the points of a curve within an epoch: reading the loss synchronizes with the GPU."""


class Tracker(ABC):
    """Turns events into named numbers and texts over the steps of the run. A context manager: its end closes it."""

    name: str

    def __init__(self) -> None:
        self._point_at = float("-inf")
        self._sample = 0
        self._failed = False

    def __call__(self, event: Event) -> None:
        """Records one event; within an epoch, one a second."""
        values: dict[str, float | str]
        if isinstance(event, StepEnded) and time.monotonic() - self._point_at >= _SECONDS_BETWEEN_POINTS:
            self._point_at = time.monotonic()
            values = {
                "training/loss": float(event.mean_loss),
                "training/chars_per_second": event.chars_per_second,
                "training/learning_rate": event.learning_rate,
            }
        elif isinstance(event, EpochEnded):
            self._sample = 0
            values = {"perplexity/training": event.record.perplexity, "epoch": event.record.epoch}
            if event.record.validation_perplexity is not None:
                values["perplexity/validation"] = event.record.validation_perplexity
        elif isinstance(event, SampleDrawn):
            self._sample += 1
            values = {f"sample/{self._sample}": event.text}
        else:
            return
        self._attempt(lambda: self._write(values, event.steps))

    def _attempt(self, act: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            act()
        except Exception as error:  # whatever another program makes of a full disk or a lost connection
            self._failed = True
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            warnings.warn(
                f"{self.name}: nothing more is recorded there ({reason:.300}); training continues",
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
        if self._failed:
            with contextlib.suppress(Exception):
                self._close(failed=True)
        self._attempt(lambda: self._close(failed=error is not None))


class TensorBoard(Tracker):
    """Writes to a folder that ``tensorboard --logdir FOLDER`` shows while the run goes on.

    A run resumed from a checkpoint writes to the same folder: what was recorded after that checkpoint is hidden.
    """

    name = "TensorBoard"

    def __init__(self, path: str | Path, config: Mapping[str, object] | None = None) -> None:
        """Nothing is written before the first event. Raises SettingsError if TensorBoard is not installed.

        config: Settings of the run, shown as a text.
        """
        super().__init__()
        check_type(PATH, path=path)
        check_type((Mapping, NoneType), config=config)
        self._path, self._config = Path(path), config
        self._make_writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer: SummaryWriter | None = None
        self._usual_hook = threading.excepthook

    def _write(self, values: Mapping[str, float | str], step: int) -> None:
        for name, value in values.items():
            if isinstance(value, str):
                # As it stands: the text is Markdown there, and indented lines are code.
                code = "".join(f"    {line}\n" for line in value.splitlines())
                self._open(step + 1).add_text(name, code, step)  # a sample comes after all else of its step
            else:
                self._open(step).add_scalar(name, value, step)

    def _open(self, step: int) -> "SummaryWriter":
        """step: The first that this run records; from there on what an earlier one recorded is hidden."""
        if self._writer is None:
            before = set(threading.enumerate())
            self._writer = self._make_writer(str(self._path), purge_step=step, flush_secs=1)
            own, usual = set(threading.enumerate()) - before, self._usual_hook
            # No traceback on the screen if a thread of TensorBoard's fails: the next write raises its error here.
            threading.excepthook = lambda failure: None if failure.thread in own else usual(failure)
            if self._config:
                rows = "".join(f"| {name} | `{value}` |\n" for name, value in self._config.items())
                self._writer.add_text("settings", f"| setting | value |\n|:--|:--|\n{rows}", step)
        return self._writer

    def _close(self, *, failed: bool) -> None:  # noqa: ARG002 - nothing there to tell it to
        if self._writer is not None:
            try:
                self._writer.close()
            finally:
                threading.excepthook = self._usual_hook


class WeightsAndBiases(Tracker):
    """Records to a run on Weights & Biases, or with ``WANDB_MODE=offline`` to a folder that ``wandb sync`` sends later.

    The variables of that program apply (``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_MODE``, ``WANDB_DIR``, ...).

    Attributes:
        run_id: Identifier there, by which a run is resumed. Steps that it already has are not recorded twice.
    """

    name = "Weights & Biases"

    def __init__(self, name: str, config: Mapping[str, object] | None = None, *, run_id: str | None = None) -> None:
        """Starts or resumes a run there, in the project "charloom" unless the environment names another.

        Raises SettingsError if wandb is not installed, CharloomError if the run cannot be started (no key, no network).
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
                resume="allow" if run_id else None,
                # Its copy of what is printed would pass a progress bar line by line.
                settings=self._wandb.Settings(console="off"),
            )
        except Exception as error:
            raise CharloomError(
                f"Weights & Biases: {' '.join(str(error).split())}; WANDB_MODE=offline records to this machine"
            ) from None
        self.run_id: str = self._run.id
        self._run.define_metric("perplexity/*", summary="min")

    def _write(self, values: Mapping[str, float | str], step: int) -> None:
        shown: dict[str, object] = {
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
        raise SettingsError(f"{program} is not installed: pip install 'charloom[{program}]'") from None
