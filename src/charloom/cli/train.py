"""``charloom train``."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.interruption import Interruption
from charloom.cli.trackers import WantedTrackers, open_trackers
from charloom.cli.training_display import TrainingDisplay, show_end, show_start
from charloom.errors import OtherProcessFailedError
from charloom.settings import CorpusSettings, ModelSettings, Recipe, TrainingSettings

if TYPE_CHECKING:
    from charloom.runs.training_run import TrainingRun

_LONG_TEXT = 1 << 25
"""Bytes of a text that takes long enough to read for a progress bar."""


def train(
    *corpus: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path | None = None,
    recipe: str | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    no_priming: Annotated[bool, Parameter(negative="")] = False,
    resume: Path | None = None,
    init_from: Path | None = None,
    extend_vocabulary: Annotated[bool, Parameter(negative="")] = False,
    tensorboard: bool | None = None,
    wandb: Annotated[bool, Parameter(negative="")] = False,
    text: Annotated[CorpusSettings, Parameter(name="*", group="Text")] = CorpusSettings(),
    model: Annotated[ModelSettings, Parameter(name="*", group="Model")] = ModelSettings(),
    training: Annotated[TrainingSettings, Parameter(name="*", group="Training")] = TrainingSettings(),
) -> int:
    """Train a language model and save it to a folder.

    Without options it runs the textbook section's recipe: a plain RNN of 256 units on the first 10,000 characters of
    The Time Machine. A text of your own starts from the recipe own-text. Ctrl-C ends training and saves what there is;
    --resume goes on from there, or from the last checkpoint of a run that was killed.

    The defaults shown below are those of that recipe, the textbook's; 'charloom recipes own-text' shows what a text of
    your own is trained with.

    Parameters
    ----------
    corpus
        What to train on: time-machine (the default), tiny-shakespeare or python-reference; one or more files (.gz,
        .xz and .zst are decompressed); a folder; standard input, as -; a data set, as hf:NAME[:SPLIT[:COLUMN]].
    out
        Folder for the model, history.jsonl and history.png. Default: the corpus' name and -model.
    recipe
        Settings to start from: a name from 'charloom recipes', or the path of a .toml file. Options override it.
    overwrite
        Replace the model that is in the folder.
    no_priming
        Keep the text out of the folder. With it (its last MiB) 'charloom compress' begins with what it has read.
    resume
        The folder of a run that was interrupted: go on exactly where it was, with its text, recipe and options.
        Options that only say how long to train, what to show and where to compute may be changed, and --learning-rate
        and --clip-norm for a run that diverged. With --out it goes on in another folder.
    init_from
        The folder of a model whose weights the new run begins with, to train it further or on another text.
    extend_vocabulary
        With --init-from: add the characters of the text that the model does not know.
    tensorboard
        Write curves and samples for TensorBoard into the folder too: tensorboard --logdir FOLDER shows them.
    wandb
        Record the run on Weights & Biases; with WANDB_MODE=offline, in a folder that 'wandb sync' sends later.
    """
    from charloom.runs.plan import RunPlan
    from charloom.runs.training_run import TrainingRun

    wanted = WantedTrackers(tensorboard, wandb)
    plan = RunPlan(
        corpus,
        out,
        Recipe(text, model, training, name=recipe or ""),
        resume=resume,
        init_from=init_from,
        extend_vocabulary=extend_vocabulary,
        overwrite=overwrite,
        priming=not no_priming,
    )
    try:
        with ExitStack() as stack:
            with _reading_progress() as show:
                run = stack.enter_context(TrainingRun(plan, progress=show))
            return _train(run, wanted) if run.processes.first else _train_along(run)
    except OtherProcessFailedError:
        return 1


def _train(run: "TrainingRun", wanted: WantedTrackers) -> int:
    """As the only process, or the first of several."""
    console = screen.log()
    with ExitStack() as stack:
        interruption = Interruption()
        if run.is_done:
            outcome = run.train()
        else:
            trackers = stack.enter_context(open_trackers(wanted, run))
            show_start(console, run)
            stack.enter_context(interruption)
            display = stack.enter_context(TrainingDisplay(console, run.start.settings, len(run.history)))
            outcome = run.train([*trackers.listeners, display, interruption], notes={"trackers": trackers.stored})
        if outcome.error is not None:
            raise outcome.error
    show_end(console, run, outcome, interruption.requested)
    return interruption.exit_status


def _train_along(run: "TrainingRun") -> int:
    """As a process that neither writes nor shows; the first one reports what happened."""
    with Interruption() as interruption:
        outcome = run.train([interruption])
    return interruption.exit_status if outcome.error is None else 1


@contextmanager
def _reading_progress() -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar while a long text is read, in one process on a machine."""
    with screen.reading_progress("reading the text") as progress:
        shown = os.environ.get("LOCAL_RANK", "0") == "0"

        def show(done: int, total: int | None) -> None:
            if shown and not progress.tasks and (done if total is None else total) > _LONG_TEXT:
                progress.add_task("")
            for task in progress.task_ids:
                progress.update(task, completed=done, total=total)

        yield show
