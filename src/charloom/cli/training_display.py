"""What a training run shows: how it begins, a progress bar, a line every so many epochs, samples, how it ends."""

import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import TYPE_CHECKING

from rich.console import Console

from charloom.cli import screen
from charloom.errors import pluralize
from charloom.settings import TrainingSettings

if TYPE_CHECKING:
    from charloom.runs.training_run import Outcome, TrainingRun
    from charloom.training.events import Event, Listener, StepEnded
    from charloom.training.history import EpochRecord, History

_MEASURED_SECONDS = 2.0
_EPOCHS_SEEN = 2
_WORTH_TELLING_SECONDS = 10.0
_REFRESHES_PER_SECOND = 4
"""Drawing costs milliseconds of the processor that trains."""
_LONG_TEXT = 1 << 25
"""Bytes of a text that takes long enough to read for a progress bar."""


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar while a long text is read, in one process on a machine."""
    with screen.reading_progress("reading the text") as show:
        shown = os.environ.get("LOCAL_RANK", "0") == "0"

        def show_long(done: int, total: int | None) -> None:
            if shown and (done if total is None else total) > _LONG_TEXT:
                show(done, total)

        yield show_long


@contextmanager
def training_display(console: Console, run: "TrainingRun") -> Iterator[list["Listener"]]:
    """Shows the start and the progress of a run, in its first process. Yields listeners."""
    if run.is_done or not run.processes.is_rank_zero:
        yield []
        return
    show_start(console, run)
    with TrainingDisplay(console, run.start.settings, len(run.history)) as display:
        yield [display]


class TrainingDisplay:
    """A listener that shows. The bar is there on a terminal only, and gone at the end; the lines stay."""

    def __init__(self, console: Console, settings: TrainingSettings, epochs: int = 0) -> None:
        self._settings = settings
        self._last: EpochRecord | None = None
        epoch = "epoch {task.fields[epoch]}/{task.total:.0f}"
        self._progress = screen.work_progress(console, epoch, figures=True, refreshes_per_second=_REFRESHES_PER_SECOND)
        self._task = self._progress.add_task(
            "", total=settings.epochs, completed=epochs, epoch=min(epochs + 1, settings.epochs), figures=""
        )
        self._shown_at = 0.0
        self._began = 0.0, 0.0
        self._epochs_seen: list[int] = []
        self._told_how_long = False

    def __enter__(self) -> "TrainingDisplay":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: "Event") -> None:
        """Shows one event."""
        from charloom.training.events import EpochEnded, SampleDrawn, StepEnded, ValidationAdvanced

        if isinstance(event, EpochEnded):
            self._last = record = event.record
            if record.epoch % self._settings.report_every == 0 or record.epoch == self._settings.epochs:
                self._show_line(record)
        elif isinstance(event, SampleDrawn):
            self._progress.console.print(f" - {screen.printable(event.text)}")
        elif isinstance(event, StepEnded):
            self._tell_how_long(event)
            self._show_progress(event.epoch, event.fraction, lambda: self._figures(event))
        elif isinstance(event, ValidationAdvanced):
            self._show_progress(event.epoch, 1.0, lambda: f"validation, {event.fraction:.0%}")

    def _show_progress(self, epoch: int, fraction: float, figures: Callable[[], str]) -> None:
        if not self._progress.disable and self._progress.get_time() - self._shown_at >= 1 / _REFRESHES_PER_SECOND:
            self._shown_at = self._progress.get_time()
            self._progress.update(self._task, completed=epoch - 1 + fraction, epoch=epoch, figures=figures())

    def _tell_how_long(self, event: "StepEnded") -> None:
        """Once, from the run's own first steps: what it will take, where that is more than a moment."""
        now, done = time.monotonic(), event.epoch - 1 + event.fraction
        if self._told_how_long:
            return
        if len(self._epochs_seen) < _EPOCHS_SEEN and event.epoch not in self._epochs_seen:
            # With a run's first epoch come imports and the first sample: if it is short, the second tells.
            self._epochs_seen.append(event.epoch)
            self._began = now, done
        elif now - self._began[0] >= _MEASURED_SECONDS:
            self._told_how_long = True
            left = (self._settings.epochs - done) * (now - self._began[0]) / (done - self._began[1])
            if left > _WORTH_TELLING_SECONDS:
                told = f"{event.chars_per_second:,.0f} characters/s: {_in_words(left)}"
                self._progress.console.print(f"speed   {told} for {pluralize(self._settings.epochs, 'epoch')}")

    def _figures(self, event: "StepEnded") -> str:
        from charloom.inference.evaluation import perplexity_of

        text = f"perplexity {perplexity_of(float(event.mean_loss)):.2f}"
        if self._last is not None and self._last.validation_perplexity is not None:
            text += f", validation {self._last.validation_perplexity:.2f}"
        return text if screen.is_narrow(self._progress.console) else f"{text}, {event.chars_per_second:,.0f} char/s"

    def _show_line(self, record: "EpochRecord") -> None:
        line = f"epoch {record.epoch:4d}, perplexity {record.perplexity:.3f}"
        if record.validation_perplexity is not None:
            line += f", validation {record.validation_perplexity:.3f}"
        self._progress.console.print(f"{line}, {record.seconds:.1f} s")


def _better_before(history: "History", kept: "EpochRecord") -> str:
    """Which epoch was better than the one that is kept, where one was."""
    best = history.best
    if best is None or kept.validation_perplexity is None or best.validation_perplexity == kept.validation_perplexity:
        return ""
    return f" Validation was best after epoch {best.epoch}, {best.validation_perplexity:.3f}."


def _in_words(seconds: float) -> str:
    """As "about 5 more minutes"; of less than two minutes in seconds, of more than two hours in hours."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} more {unit}"
    return f"about {max(seconds, 1):.0f} more seconds"


def show_start(console: Console, run: "TrainingRun") -> None:
    """Shows what is about to be trained, on what, and what it takes."""
    import torch

    from charloom.models.device import find_device
    from charloom.runs.start import estimate_memory

    start, processes = run.start, run.processes
    corpus, model, settings = start.corpus, start.model, start.settings
    layer = model.layer
    parameters = sum(parameter.numel() for parameter in model.parameters())
    length = pluralize(len(corpus.ids), "byte" if corpus.vocabulary.unit == "byte" else "character")
    limit = start.source.get("settings", {}).get("max_chars")
    part = f"the first {length}" if limit == len(corpus.ids) else length
    console.print(f"text    {corpus.name}: {part}, {len(corpus.vocabulary)} different tokens")
    memory = estimate_memory(model, settings, corpus.ids) / 1e6
    console.print(
        f"model   {type(layer).__name__}, {layer.num_layers} x {layer.hidden_size} units, {parameters:,} parameters; "
        f"memory: about {max(memory, 1):,.0f} MB more for training"
    )
    threads = settings.threads or torch.get_num_threads()
    where = f"{find_device(settings.device)}, {pluralize(threads, 'thread')}"
    if processes.size > 1:
        where = f"{processes.size} processes, each on {processes.device} with {pluralize(threads, 'thread')}"
    console.print(f"run     {start.description}, {pluralize(settings.epochs, 'epoch')}, {where}")


def show_end(console: Console, run: "TrainingRun", outcome: "Outcome", stopped_by: Signals | None) -> None:
    """Shows how the run ended, where the model is, and what to do next."""
    settings, folder, kept = run.start.settings, run.folder, outcome.kept
    epochs = len(outcome.history)
    if run.end_reason is not None:
        console.print(f"Nothing to do: {screen.in_words(run.end_reason)}.")
        if run.is_done:
            return
    if stopped_by:
        where = f", from {outcome.last_checkpoint}" if outcome.last_checkpoint else ""
        console.print(
            f"Stopped by {stopped_by.name} after {pluralize(epochs, 'whole epoch')}; what was learnt is saved. "
            f"To go on{where}: charloom train --resume {shlex.quote(str(folder.path))}"
        )
    elif outcome.status == "stopped":
        console.print(f"Stopped because another process was asked to, after {pluralize(epochs, 'whole epoch')}.")
    elif epochs < settings.epochs:
        console.print(
            f"Stopped after epoch {epochs}: validation was no better for {pluralize(settings.patience or 0, 'epoch')}."
        )
    if kept is not None:
        validation = kept.validation_perplexity
        console.print(
            f"Perplexity {kept.perplexity:.3f}"
            + (f", validation {validation:.3f}" if validation is not None else "")
            + (f" of epoch {kept.epoch}, the best," if settings.ends_with_best else "")
            + f" after {pluralize(epochs, 'epoch')}, {outcome.history[-1].seconds:.1f} s."
            + _better_before(outcome.history, kept)
        )
    console.print(f"Saved in {folder.path}: " + ", ".join(folder.files))
    prefix = next(iter(outcome.model.provenance["prefix"]), "")
    # Bytes that no shell takes, or no screen shows, are the default anyway.
    option = f" --prefix {shlex.quote(prefix)}" if prefix and prefix.isprintable() else ""
    console.print(f"Next: charloom generate {shlex.quote(str(folder.path))}{option}")
