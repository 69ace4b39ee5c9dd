"""``charloom train``."""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.interruption import Interruption
from charloom.cli.options import Flag, Force, OutputFolder, Word
from charloom.cli.trackers import check_installed, open_trackers
from charloom.cli.training_display import reading_progress, show_end, training_display
from charloom.errors import OtherProcessFailedError
from charloom.settings import CorpusSettings, ModelSettings, Recipe, TrainingSettings
from charloom.text.named_corpora import default_recipe


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
        Recipe(text, model, training, name=recipe or ("" if resume else default_recipe(corpus))),
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
        with (
            open_trackers(run, tensorboard=tensorboard, wandb=wandb) as (trackers, stored),
            training_display(console, run) as displays,
            Interruption() as interruption,
        ):
            outcome = run.train([*trackers, *displays, interruption], notes={"trackers": stored})
            if run.processes.is_rank_zero and outcome.error is not None:
                raise outcome.error
        if run.processes.is_rank_zero:
            show_end(console, run, outcome, interruption.requested)
        return interruption.exit_status if outcome.error is None else 1
    return 1
