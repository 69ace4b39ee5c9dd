"""The display of a training run: its start, progress, samples and end."""

import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import TYPE_CHECKING

from rich.console import Console

from charloom.errors import pluralize
from charloom.settings import TrainingSettings
from charloom_codec.cli import screen

if TYPE_CHECKING:
    from charloom.runs.outcome import Outcome
    from charloom.runs.training_run import TrainingRun
    from charloom.training.events import Event, Listener, StepEnded
    from charloom.training.history import EpochRecord, History

_MEASURED_SECONDS = 2.0
"""Minimum time of the measurement of the training speed."""
_WARMUP_EPOCHS = 2
_MIN_REPORTED_SECONDS = 10.0
"""Minimum remaining time that is worth a line."""
_REFRESHES_PER_SECOND = 4
"""Refreshes of the progress bar; each takes milliseconds of a core that trains."""
_LONG_TEXT = 1 << 25
"""Minimum size in bytes of a text whose reading shows a progress bar."""


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int | None], None]]:
    """Shows a progress bar while a long text is read, in the first process of each machine."""
    with screen.reading_progress("reading the text") as show:
        # torchrun's number of this process on its machine; without torchrun there is only one process.
        shown = os.environ.get("LOCAL_RANK", "0") == "0"

        def show_long(done: int, total: int | None) -> None:
            if shown and (done if total is None else total) > _LONG_TEXT:
                show(done, total)

        yield show_long


@contextmanager
def training_display(console: Console, run: "TrainingRun") -> Iterator[list["Listener"]]:
    """Prints the start of a run in its first process. Yields the listeners that show its progress."""
    # Other processes of the run would repeat each line.
    if run.can_skip_training or not run.processes.is_rank_zero:
        yield []
        return
    show_start(console, run)
    with TrainingDisplay(console, run.start.settings, len(run.history)) as display:
        yield [display]


class TrainingDisplay:
    """A listener that shows a progress bar, which disappears at the end, and lines, which stay."""

    def __init__(self, console: Console, settings: TrainingSettings, epochs: int = 0) -> None:
        self._settings = settings
        self._is_limited = settings.minutes is not None
        self._last: EpochRecord | None = None
        # A time limit can end a run before its number of epochs.
        epoch = "epoch {task.fields[epoch]}" + ("" if self._is_limited else "/{task.total:.0f}")
        self._progress = screen.work_progress(console, epoch, figures=True, refreshes_per_second=_REFRESHES_PER_SECOND)
        self._task = self._progress.add_task(
            "", total=settings.epochs, completed=epochs, epoch=min(epochs + 1, settings.epochs), figures=""
        )
        self._shown_at = 0.0
        self._measured_from = 0.0, 0.0  # time, epochs done
        self._epochs_seen: list[int] = []
        self._is_time_shown = False
        # The bar counts epochs; with a time limit, it advances by the time.
        self._run_fraction = epochs / settings.epochs

    def __enter__(self) -> "TrainingDisplay":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: "Event") -> None:
        """Shows an event."""
        # Imported here: charloom.training imports PyTorch, for which "charloom --help" must not wait.
        from charloom.training.events import EpochEnded, SampleDrawn, StepEnded, ValidationAdvanced

        if isinstance(event, EpochEnded):
            self._last = record = event.record
            # The last epoch is always shown, since its perplexity is the result.
            is_last = record.epoch == self._settings.epochs or record.reached_time_limit
            if record.epoch % self._settings.report_every == 0 or is_last:
                self._show_line(record)
        elif isinstance(event, SampleDrawn):
            self._progress.console.print(f" - {screen.printable(event.text)}")
        elif isinstance(event, StepEnded):
            self._show_remaining_time(event)
            self._run_fraction = event.run_fraction
            self._show_progress(event.epoch, lambda: self._figures(event))
        elif isinstance(event, ValidationAdvanced):
            self._show_progress(event.epoch, lambda: f"validation, {event.fraction:.0%}")

    def _show_progress(self, epoch: int, figures: Callable[[], str]) -> None:
        # figures() reads the loss, which waits for a GPU: it is called only when the bar is redrawn.
        if not self._progress.disable and self._progress.get_time() - self._shown_at >= 1 / _REFRESHES_PER_SECOND:
            self._shown_at = self._progress.get_time()
            completed = self._run_fraction * self._settings.epochs
            self._progress.update(self._task, completed=completed, epoch=epoch, figures=figures())

    def _show_remaining_time(self, event: "StepEnded") -> None:
        """Prints an estimate of the remaining time once, from the speed of the first steps, unless it is short."""
        now, done = time.monotonic(), event.epoch - 1 + event.fraction
        if self._is_time_shown or self._is_limited:
            return
        if len(self._epochs_seen) < _WARMUP_EPOCHS and event.epoch not in self._epochs_seen:
            # The first epoch includes imports and the first sample; if it is short, the second one is measured.
            self._epochs_seen.append(event.epoch)
            self._measured_from = now, done
        elif now - self._measured_from[0] >= _MEASURED_SECONDS:
            self._is_time_shown = True
            since, before = self._measured_from
            left = (self._settings.epochs - done) * (now - since) / (done - before)
            if left > _MIN_REPORTED_SECONDS:
                speed = f"{event.chars_per_second:,.0f} characters/s"
                self._progress.console.print(
                    f"speed   {speed}: {_describe_time(left)} until the end of epoch {self._settings.epochs:,}"
                )

    def _figures(self, event: "StepEnded") -> str:
        from charloom.inference.surprisal import perplexity_of

        text = f"perplexity {perplexity_of(float(event.mean_loss)):.2f}"
        if self._last is not None and self._last.validation_perplexity is not None:
            text += f", validation {self._last.validation_perplexity:.2f}"
        # A narrow terminal has no room for the speed beside the bar.
        return (
            text if screen.is_narrow(self._progress.console) else f"{text}, {event.chars_per_second:,.0f} characters/s"
        )

    def _show_line(self, record: "EpochRecord") -> None:
        line = f"epoch {record.epoch:4d}, perplexity {record.perplexity:.3f}"
        if record.validation_perplexity is not None:
            line += f", validation {record.validation_perplexity:.3f}"
        self._progress.console.print(f"{line}, {record.seconds:.1f} s")


def _describe_better_epoch(history: "History", kept: "EpochRecord") -> str:
    """Returns a sentence about a better epoch than the saved one; an empty string if there is none."""
    best = history.best
    if best is None or kept.validation_perplexity is None or best.validation_perplexity == kept.validation_perplexity:
        return ""
    return f" The validation perplexity was best after epoch {best.epoch} ({best.validation_perplexity:.3f})."


def _describe_time(seconds: float) -> str:
    """Describes a time, such as "about 5 minutes"."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} {unit}"
    return f"about {pluralize(round(max(seconds, 1)), 'second')}"


def show_start(console: Console, run: "TrainingRun") -> None:
    """Prints the text, the model with its memory, and the settings of a run."""
    import torch

    from charloom.models.device import find_device
    from charloom.runs.start import estimate_memory

    start, processes = run.start, run.processes
    corpus, model, settings = start.corpus, start.model, start.settings
    layer = model.layer
    parameters = sum(parameter.numel() for parameter in model.parameters())
    length = pluralize(len(corpus.ids), "byte" if corpus.vocabulary.unit == "byte" else "character")
    # A text of exactly max_chars is most likely the start of a longer one.
    limit = start.source.get("settings", {}).get("max_chars")
    part = f"the first {length}" if limit == len(corpus.ids) else length
    console.print(f"text    {corpus.name}: {part}, vocabulary of {pluralize(len(corpus.vocabulary), 'token')}")
    memory = estimate_memory(model, settings, corpus.ids) / 1e6
    console.print(
        f"model   {type(layer).__name__}, {layer.num_layers} x {layer.hidden_size} units, {parameters:,} parameters; "
        f"training needs about {max(memory, 1):,.0f} MB of additional memory"
    )
    # Without a setting PyTorch chooses the number of threads, which depends on the machine.
    threads = settings.threads or torch.get_num_threads()
    device = f"{find_device(settings.device)}, {pluralize(threads, 'thread')}"
    if processes.size > 1:
        device = f"{processes.size} processes, each on {processes.device} with {pluralize(threads, 'thread')}"
    length = pluralize(settings.epochs, "epoch")
    if settings.minutes is not None:
        length = f"at most {settings.minutes:g} min and {length}"
    console.print(f"run     {start.description}, {length}, {device}")


def show_end(console: Console, run: "TrainingRun", outcome: "Outcome", stopped_by: Signals | None) -> None:
    """Prints the end of a run, its results, the model's folder and the next command."""
    settings, folder, kept = run.start.settings, run.folder, outcome.kept
    epochs = len(outcome.history)
    if run.end_reason is not None:
        console.print(f"Nothing to do: {screen.in_words(run.end_reason)}.")
        # A run that was complete before has no new results to show.
        if run.can_skip_training:
            return
    if stopped_by:
        checkpoint = f" from {outcome.last_checkpoint}" if outcome.last_checkpoint else ""
        console.print(
            f"Stopped by {stopped_by.name} after {pluralize(epochs, 'complete epoch')}; the model is saved. "
            f"To resume{checkpoint}: charloom train --resume {screen.path_argument(folder.path)}"
        )
    elif outcome.status == "stopped":
        console.print(f"Stopped after {pluralize(epochs, 'complete epoch')}: another process of the run was stopped.")
    elif outcome.history.reached_time_limit:
        console.print(f"Ended at the time limit, within epoch {epochs}.")
    # Without a signal, only early stopping ends a run before its last epoch.
    elif epochs < settings.epochs:
        console.print(
            f"Stopped early after epoch {epochs}: the validation perplexity did not improve for "
            f"{pluralize(settings.patience or 0, 'epoch')}."
        )
    if kept is not None:
        validation = kept.validation_perplexity
        # The last epoch may be incomplete after the time limit, and the line above names it.
        trained = "" if outcome.history.reached_time_limit else f"{pluralize(epochs, 'epoch')} in "
        console.print(
            # The seconds of a record are counted from the start of the run.
            f"Trained for {trained}{outcome.history[-1].seconds:.1f} s. "
            + (f"Best epoch: {kept.epoch}, perplexity" if settings.ends_with_best else "Perplexity")
            + f" {kept.perplexity:.3f}"
            + (f", validation {validation:.3f}." if validation is not None else ".")
            + _describe_better_epoch(outcome.history, kept)
        )
    console.print(f"Saved to {folder.path}: " + ", ".join(folder.files))
    prefix = next(iter(outcome.model.provenance["prefix"]), "")
    # A prefix with control characters cannot be shown; it is the default of "charloom generate", so it can be omitted.
    option = f" --prefix {shlex.quote(prefix)}" if prefix and prefix.isprintable() else ""
    console.print(f"Next: charloom generate {screen.path_argument(folder.path)}{option}")
