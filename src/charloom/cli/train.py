"""``charloom train``."""

import re
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from charloom.cli import screen
from charloom.cli.interruption import SIGNALS, Interruption
from charloom.cli.recipes import usual_recipe
from charloom.cli.trackers import OpenTrackers, WantedTrackers, open_trackers
from charloom.cli.train_beginnings import Beginning, anew, from_model, restarted, resumed
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
from charloom.text.named_corpora import TIME_MACHINE
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel
    from charloom.training.checkpoint import Checkpoint
    from charloom.training.processes import Processes
    from charloom.training.run_folder import RunFolder

_DEFAULTS_NOTE = "Defaults shown are the section's; a recipe may set others ('charloom recipes' shows them)."


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
    text: Annotated[CorpusSettings, Parameter(name="*", group=Group("Text", help=_DEFAULTS_NOTE))] = CorpusSettings(),
    model: Annotated[ModelSettings, Parameter(name="*", group="Model")] = ModelSettings(),
    training: Annotated[TrainingSettings, Parameter(name="*", group="Training")] = TrainingSettings(),
) -> int:
    """Train a language model and save it to a folder.

    Without options it runs the textbook section's recipe: a plain RNN of 256 units on the first 10,000 characters of
    The Time Machine. A text of your own starts from the recipe own-text. Ctrl-C ends training and saves what there is;
    --resume goes on from there, or from the last checkpoint of a run that was killed.

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
    run = _run_of(resume, out) if resume else None
    place = out or run or _default_folder(corpus)
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
                    goes_on_here = resume is not None and _goes_on_in(resume, place, overwrite=overwrite)
                    if place.exists() or not goes_on_here:
                        folder.enter(overwrite=overwrite or goes_on_here or processes.restarts > 0)
            # Under the folder's lock, so that no other process brings it further meanwhile.
            checkpoint = _checkpoint_of(processes, place, resume)
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


def _checkpoint_of(processes: "Processes", place: Path, resume: Path | None) -> "Checkpoint | None":
    """What training goes on from: after a restart the run's own last checkpoint, else what is to be resumed."""
    from charloom.training.checkpoints import newest_checkpoint
    from charloom.training.shared_checkpoints import newest_checkpoint_of

    if processes.restarts and (found := newest_checkpoint_of(processes, place, of_this_run=True)) is not None:
        return found
    if resume is None:
        return None
    found = newest_checkpoint_of(processes, resume)
    return found if found is not None else newest_checkpoint(resume)  # which says why there is none


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
    console = screen.results()
    interruption = Interruption()
    texts = texts_for_codec(begun.corpus, training) if priming else None
    end = end_in_words(checkpoint, training) if checkpoint else None
    known = built.provenance
    show_start(console, begun, training, processes)
    try:
        with interruption, TrainingDisplay(console, training) as display:
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
            f"{error}; the model of epoch {built.provenance['results']['epoch']} is saved in {folder.path}"
        ) from error
    _save(folder, built, texts)
    if end is not None:
        console.print(f"Nothing to do: {end}.")
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


def _run_of(resume: Path, out: Path | None) -> Path:
    """The folder of the run, where one of its checkpoints is named too."""
    from charloom.training.checkpoints import run_of

    run = run_of(resume)
    if run is None and out is None:
        raise SettingsError(f"{resume} is not in the folder of a run: name a folder to go on in with --out")
    return run or resume


def _goes_on_in(resume: Path, place: Path, *, overwrite: bool) -> bool:
    """Whether the run goes on in its own folder; refused where that would cost newer checkpoints."""
    from charloom.training.checkpoints import newer_checkpoints, run_of

    run = run_of(resume)
    if run is None or place.resolve() != run.resolve():
        return False
    if resume.is_file() and not overwrite and (newer := newer_checkpoints(resume)):
        raise SettingsError(
            f"beside {resume.name} are {len(newer)} newer checkpoints: --out goes on elsewhere, --overwrite gives them "
            "up"
        )
    return True


def _default_folder(corpus: tuple[str, ...]) -> Path:
    """``<first corpus>-model`` in the current folder."""
    from charloom.text.compressed_inputs import compression_of
    from charloom.text.documents import HUGGING_FACE

    first = corpus[0] if corpus else TIME_MACHINE
    if first == STANDARD_INPUT:
        return Path("text-model")
    if first.startswith(HUGGING_FACE):
        first = re.split("[:@]", first.removeprefix(HUGGING_FACE))[0]
    path = Path(first).resolve()
    return Path(f"{(path.with_suffix('') if compression_of(path.name) else path).stem}-model")


def _save(folder: "RunFolder", model: "LanguageModel", texts: tuple[bytes, bytes] | None) -> None:
    """Saves to the folder; where that fails, to a new temporary folder, and says so. Signals wait until it is done.

    texts: None where nothing of the text may be in the folder.
    """
    if texts is None:  # by itself, training begins its samples as the text begins
        model.provenance = {**model.provenance, "prefixes": list(model.provenance["training"]["prefixes"])}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        folder.finish(model, texts)
    except (CharloomError, OSError) as error:
        refuge = tempfile.mkdtemp(prefix="charloom-")
        model.save(refuge)
        raise ModelFolderError(f"{error}; the model is saved in {refuge} instead") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
