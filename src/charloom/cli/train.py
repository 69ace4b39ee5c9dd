"""``charloom train``."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.interruption import Interruption
from charloom.cli.options import Flag, Force, OutputFolder, Word
from charloom.cli.training_display import TrainingDisplay, reading_progress, show_end, show_start
from charloom.errors import OtherProcessFailedError, SettingsError
from charloom.settings import CorpusSettings, ModelSettings, Recipe, TrainingSettings
from charloom.text.named_corpora import usual_recipe

if TYPE_CHECKING:
    from charloom.runs.trackers import Tracker
    from charloom.runs.training_run import TrainingRun
    from charloom.training.events import Listener

_RUN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
"""Of Weights & Biases."""


def train(
    *corpus: Word[str],
    output: OutputFolder[Path | None] = None,
    recipe: str | None = None,
    force: Force = False,
    no_priming: Flag = False,
    resume: Path | None = None,
    init_from: Path | None = None,
    extend_vocabulary: Flag = False,
    tensorboard: bool | None = None,
    wandb: Flag = False,
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
    output
        Folder for the model, history.jsonl and history.png. Default: the corpus' name and -model.
    recipe
        Settings to start from: a name from 'charloom recipes', or the path of a .toml file. Options override it.
    force
        Replace the model that is in the folder.
    no_priming
        Keep the text out of the folder. With it (its last MiB) 'charloom compress' begins with what it has read.
    resume
        The folder of a run that was interrupted: go on exactly where it was, with its text, recipe and options.
        Options that only say how long to train, what to show and where to compute may be changed, and --learning-rate
        and --clip-norm for a run that diverged. With --output it continues in another folder.
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

    check_installed(tensorboard=tensorboard, wandb=wandb)
    plan = RunPlan(
        corpus,
        output,
        Recipe(text, model, training, name=recipe or ("" if resume else usual_recipe(corpus))),
        resume=resume,
        init_from=init_from,
        extend_vocabulary=extend_vocabulary,
        force=force,
        priming=not no_priming,
    )
    console = screen.log()
    with suppress(OtherProcessFailedError), ExitStack() as stack:
        with reading_progress() as show:
            run = stack.enter_context(TrainingRun(plan, progress=show))
        listeners: list[Listener] = []
        notes: dict[str, object] = {}
        first = run.processes.first  # the first process writes and shows
        with ExitStack() as shown:
            if first and not run.is_done:
                trackers, stored = shown.enter_context(open_trackers(run, tensorboard=tensorboard, wandb=wandb))
                show_start(console, run)
                display = shown.enter_context(TrainingDisplay(console, run.start.settings, len(run.history)))
                listeners, notes = [*trackers, display], {"trackers": stored}
            interruption = shown.enter_context(Interruption())
            outcome = run.train([*listeners, interruption], notes=notes)
            if first and outcome.error is not None:
                raise outcome.error
        if first:
            show_end(console, run, outcome, interruption.requested)
        return interruption.exit_status if outcome.error is None else 1
    return 1


def check_installed(**wanted: bool | None) -> None:
    """Raises SettingsError for a program that is wanted and not installed: before a text of gigabytes is read."""
    for program, is_wanted in wanted.items():
        if is_wanted and find_spec(program) is None:
            raise SettingsError(f"{program} is not installed: pip install 'charloom[{program}]'")


@contextmanager
def open_trackers(
    run: "TrainingRun", *, tensorboard: bool | None, wandb: bool
) -> Iterator[tuple[list["Tracker"], dict[str, object]]]:
    """Opens those that are wanted; closes them at the end, as failed if an error ends the run.

    TensorBoard is wanted by default if the run that is resumed had it. What leaves the machine is asked for each time:
    a folder from elsewhere does not begin it. Yields listeners, and what a checkpoint keeps of them as JSON values.
    """
    before = run.start.source.get("trackers")
    before = before if isinstance(before, dict) else {}
    listeners: list[Tracker] = []
    stored: dict[str, object] = {}
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
