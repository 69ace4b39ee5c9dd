"""``charloom train``."""

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom.cli.interruption import Interruption
from charloom.cli.trackers import check_installed, open_trackers
from charloom.cli.training_display import reading_progress, show_end, training_display
from charloom.errors import OtherProcessFailedError
from charloom.settings import CorpusSettings, ModelSettings, Recipe, TrainingSettings
from charloom.text.named_corpora import default_recipe
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, Force, OutputFolder, Word, settings_parameter


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
    given: Annotated[tuple[str, ...], Parameter(show=False, negative_iterable=())] = (),
    text: Annotated[CorpusSettings, settings_parameter("Text")] = CorpusSettings(),
    model: Annotated[ModelSettings, settings_parameter("Model")] = ModelSettings(),
    training: Annotated[TrainingSettings, settings_parameter("Training")] = TrainingSettings(),
) -> int:
    """Train a language model and save it to a folder.

    For a text of your own, charloom chooses the settings by the length of the text and, with --minutes, by the speed of
    this machine, so that the run ends within that time (recipe 'auto'). Options that you pass are kept. For The Time
    Machine, the default text, the recipe is 'section' (from the textbook Dive into Deep Learning: a plain RNN of 256
    units on the first 10,000 characters). Ctrl-C stops training and saves the model; --resume continues the run from
    there, or from the last checkpoint if the process was killed.

    The defaults shown below are those of the recipe 'section', which also sets --max-chars, --lowercase,
    --collapse-whitespace and --prefix.

    Parameters
    ----------
    corpus
        Text to train on: time-machine (the default), tiny-shakespeare or python-reference; one or more files (.gz, .xz
        and .zst are decompressed); a folder; - for standard input; or a dataset, hf:NAME[:SPLIT[:COLUMN]].
    output
        Folder for the model, history.jsonl and history.png. Default: NAME-model for a text called NAME.
    recipe
        Recipe that sets the defaults of the other options: a name from 'charloom recipes', or the path of a .toml file.
    force
        Replace a model or run in the output folder.
    no_priming
        Do not store the end of the text (at most 1 MiB) in the model folder. 'charloom compress' reads it first;
        without it, compressed files are a few percent larger.
    resume
        Folder of a run, or one of its checkpoint files. The run continues with its text, recipe and options, as if it
        had not been interrupted. These options can be changed: --learning-rate and --clip-norm, for example after the
        run diverged; --epochs (not with --schedule cosine), --patience, --keep-best, --device and --threads; and those
        for reports, samples and checkpoints. With --output, the run continues in another folder.
    init_from
        Folder of a model, or its name on the Hub (hf:USER/NAME), to train further, on the same text or a different one:
        the run starts from its weights.
    extend_vocabulary
        With --init-from: add the characters of the text that the model's vocabulary lacks.
    tensorboard
        Log curves and samples to the output folder for TensorBoard. Default: as in the resumed run; off for a new run.
    wandb
        Log the run to Weights & Biases or, if WANDB_MODE=offline is set, to a local folder for 'wandb sync'.
    """
    started_at = time.perf_counter()  # a time limit includes the import of PyTorch
    from charloom.runs.plan import RunPlan
    from charloom.runs.training_run import TrainingRun

    # Checked before the text is read and the folder is locked.
    check_installed(tensorboard=tensorboard, wandb=wandb)
    name = recipe or ("" if resume else default_recipe(corpus, fits=init_from is None))
    plan = RunPlan(
        corpus,
        output,
        # A resumed run keeps its own settings, so it has no recipe name.
        Recipe(text, model, training, name=name, given=frozenset(given)),
        resume=resume,
        init_from=init_from,
        extend_vocabulary=extend_vocabulary,
        force=force,
        priming=not no_priming,
    )
    # A closed pipe must not stop a training run.
    console = screen.log()
    # OtherProcessFailedError: the process that failed has reported its error already.
    with suppress(OtherProcessFailedError), ExitStack() as stack:
        with reading_progress() as show:
            run = TrainingRun(plan, progress=show)
            run.started_at = started_at
            stack.enter_context(run)
        with (
            open_trackers(run, tensorboard=tensorboard, wandb=wandb) as (trackers, stored),
            training_display(console, run) as displays,
            # Entered last: before training there is nothing to save, and a signal ends the process.
            Interruption() as interruption,
        ):
            outcome = run.train([*trackers, *displays, interruption], notes={"trackers": stored})
            # Raised within the block, so that the trackers record the run as failed.
            if run.processes.is_rank_zero and outcome.error is not None:
                raise outcome.error
        if run.processes.is_rank_zero:
            show_end(console, run, outcome, interruption.requested)
        return interruption.exit_status if outcome.error is None else 1
    # Reached only if suppress() caught OtherProcessFailedError.
    return 1
