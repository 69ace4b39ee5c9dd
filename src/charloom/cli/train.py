"""``charloom train``."""

import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.interruption import Interruption
from charloom.cli.recipes import usual_recipe
from charloom.cli.stopping import listened_to
from charloom.cli.trackers import OpenTrackers, WantedTrackers, open_trackers
from charloom.cli.train_beginnings import Beginning, anew, from_model, restarted, resumed
from charloom.cli.train_places import checkpoint_of, default_folder, goes_on_in, is_there, run_of_option
from charloom.cli.training_display import TrainingDisplay, show_end, show_start
from charloom.errors import (
    CharloomError,
    CharloomWarning,
    ModelFolderError,
    OtherProcessFailedError,
    SettingsError,
    TrainingDivergedError,
)
from charloom.settings import CorpusSettings, ModelSettings, TrainingSettings
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel
    from charloom.training.processes import Processes
    from charloom.training.run_folder import RunFolder


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
    from charloom.training.processes import joined_processes
    from charloom.training.run_folder import RunFolder
    from charloom.training.trainer import check_possible

    _refuse_contradictions(resume, recipe, init_from, extend_vocabulary=extend_vocabulary)
    wanted = WantedTrackers(tensorboard, wandb)
    run = run_of_option(resume, out) if resume else None
    place = out or run or default_folder(corpus)
    with joined_processes(training.device) as processes, _quiet(not processes.first):
        folder = RunFolder(place)
        try:
            with processes.together():
                processes.check(training)
                if STANDARD_INPUT in corpus and processes.size > 1:
                    raise SettingsError(
                        "standard input has one reader, and here are several processes: give them a file"
                    )
                if processes.first:
                    goes_on_here = resume is not None and goes_on_in(resume, place, overwrite=overwrite)
                    if place.exists() or not goes_on_here:
                        folder.enter(overwrite=overwrite or goes_on_here or processes.restarts > 0)
            # Under the folder's lock, so that no other process brings it further meanwhile.
            checkpoint = checkpoint_of(processes, place, resume)
            with processes.together():
                if checkpoint is not None and processes.restarts:
                    begun = restarted(checkpoint, processes.restarts, corpus, training)
                elif checkpoint is not None:
                    begun = resumed(checkpoint, corpus, text, model, training)
                elif init_from is not None:
                    begun = from_model(init_from, corpus, text, model, training.seed, extend=extend_vocabulary)
                else:
                    begun = anew(corpus, text, model, training.seed, recipe or usual_recipe(corpus))
                check_possible(training, len(begun.corpus.ids), processes.device)
                if processes.first:
                    folder.begin(begun.checkpoint.history if begun.checkpoint else None)
            processes.training_begins()
            if not processes.first:
                return _train_along(begun, training, processes)
            with open_trackers(wanted, folder.path, begun, training) as trackers:
                return _train(folder, begun, training, processes, trackers, priming=not no_priming)
        except OtherProcessFailedError:
            return 1
        finally:
            if processes.first:
                folder.leave()


def _train_along(begun: Beginning, training: TrainingSettings, processes: "Processes") -> int:
    """As a process that neither writes nor shows."""
    from charloom.training.trainer import train as run_training

    with Interruption() as interruption:
        try:
            run_training(
                begun.model,
                begun.corpus,
                training,
                listeners=[interruption],
                resume=begun.checkpoint,
                processes=processes,
            )
        except TrainingDivergedError:
            return 1  # as for all processes; the first says so
    return interruption.exit_status


def _train(
    folder: "RunFolder",
    begun: Beginning,
    training: TrainingSettings,
    processes: "Processes",
    trackers: OpenTrackers,
    *,
    priming: bool,
) -> int:
    """As the only process, or the first."""
    from charloom.training.checkpoints import CheckpointFolder
    from charloom.training.resumption import end_in_words
    from charloom.training.run_folder import texts_for_codec
    from charloom.training.trainer import train as run_training

    built, checkpoint = begun.model, begun.checkpoint
    priming = priming and begun.source.get("priming") is not False
    source = begun.source | {"priming": priming, "trackers": trackers.stored, "run": processes.run}
    checkpoints = CheckpointFolder(folder.path, source=source)
    console = screen.log()
    interruption = Interruption()
    texts = texts_for_codec(begun.corpus, training) if priming else None
    end = end_in_words(checkpoint, training) if checkpoint else None
    known = built.provenance
    # Others that train along wait for this one to do so, too.
    if end is not None and processes.size == 1 and is_there(folder, begun, training):
        console.print(f"Nothing to do: {screen.in_words(end)}.")
        return 0
    show_start(console, begun, training, processes)
    with interruption:  # from the first step until the model is saved
        try:
            with TrainingDisplay(console, training, len(folder.history)) as display:
                run_training(
                    built,
                    begun.corpus,
                    training,
                    listeners=[folder, *trackers.listeners, display, interruption],
                    checkpoints=checkpoints,
                    resume=checkpoint,
                    processes=processes,
                )
        except Exception as error:
            if built.provenance is known or not folder.history:
                raise  # nothing was trained, or no epoch of it
            _save(folder, built, texts)
            if not isinstance(error, (CharloomError, OSError)):
                raise
            raise CharloomError(
                *(error.parts if isinstance(error, CharloomError) else (str(error),)),
                f"; the model of epoch {built.provenance['results']['epoch']} is saved in {folder.path}",
            ) from error
        _save(folder, built, texts)
    if end is not None:
        console.print(f"Nothing to do: {screen.in_words(end)}.")
    show_end(console, folder, built, training, interruption.requested, checkpoints)
    return interruption.exit_status


@contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    """Without charloom's notes, which the first process shows."""
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore", CharloomWarning)
        yield


def _refuse_contradictions(
    resume: Path | None, recipe: str | None, init_from: Path | None, *, extend_vocabulary: bool
) -> None:
    if resume is not None and (recipe is not None or init_from is not None):
        other = "--recipe" if recipe is not None else "--init-from"
        raise SettingsError(f"--resume goes on with the run's own settings and weights: leave out {other}")
    if extend_vocabulary and init_from is None:
        raise SettingsError("--extend-vocabulary belongs to --init-from: a new model knows all characters of its text")


def _save(folder: "RunFolder", model: "LanguageModel", texts: tuple[bytes, bytes] | None) -> None:
    """Saves to the folder; where that fails, to a new temporary folder, and says so. Signals wait until it is done.

    texts: None where nothing of the text may be in the folder.
    """
    if texts is None:  # by itself, training begins its samples as the text begins
        model.provenance = {**model.provenance, "prefixes": list(model.provenance["training"]["prefixes"])}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in listened_to()}
    try:
        folder.finish(model, texts)
    except (CharloomError, OSError) as error:
        refuge = tempfile.mkdtemp(prefix="charloom-")
        model.save(refuge)
        parts = error.parts if isinstance(error, CharloomError) else (str(error),)
        raise ModelFolderError(*parts, f"; the model is saved in {refuge} instead") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
