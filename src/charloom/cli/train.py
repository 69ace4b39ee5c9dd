"""``charloom train``."""

import re
import shlex
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from charloom.cli import screen
from charloom.cli.interruption import Interruption
from charloom.cli.recipes import usual_recipe
from charloom.cli.training_display import TrainingDisplay
from charloom.errors import CharloomError, ModelFolderError
from charloom.settings import CorpusSettings, ModelSettings, TrainingSettings
from charloom.text.named_corpora import TIME_MACHINE
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel
    from charloom.text.corpora import Corpus
    from charloom.training.run_folder import RunFolder

_LONG_TEXT = 1 << 25
"""Bytes that take long enough for a bar."""
_DEFAULTS_NOTE = "Defaults shown are the section's; a recipe may set others ('charloom recipes' shows them)."


def train(
    *corpus: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path | None = None,
    recipe: str | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    no_priming: Annotated[bool, Parameter(negative="")] = False,
    text: Annotated[CorpusSettings, Parameter(name="*", group=Group("Text", help=_DEFAULTS_NOTE))] = CorpusSettings(),
    model: Annotated[ModelSettings, Parameter(name="*", group="Model")] = ModelSettings(),
    training: Annotated[TrainingSettings, Parameter(name="*", group="Training")] = TrainingSettings(),
) -> int:
    """Train a language model and save it to a folder.

    Without options it runs the textbook section's recipe: a plain RNN of 256 units on the first 10,000 characters of
    The Time Machine. A text of your own starts from the recipe own-text. Ctrl-C ends training and saves what there is.

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
    """
    from charloom.model_building import build_model
    from charloom.training.run_folder import RunFolder, texts_for_codec
    from charloom.training.trainer import train as run_training

    folder = RunFolder(out or _default_folder(corpus), overwrite=overwrite)
    loaded = _load(corpus, text)
    built = build_model(loaded.vocabulary, model, seed=training.seed)
    folder.create()
    console = screen.results()
    interruption = Interruption()
    texts = None if no_priming else texts_for_codec(loaded, training)
    try:
        _show_start(console, loaded, built, training, recipe or usual_recipe(corpus))
        with interruption, TrainingDisplay(console, training) as display:
            run_training(built, loaded, training, listeners=[folder, display, interruption])
    except Exception as error:
        if not folder.history:
            folder.discard_if_empty()
            raise
        _save(folder, built, texts)
        if not isinstance(error, (CharloomError, OSError)):
            raise
        raise CharloomError(
            f"{error}; the model of epoch {built.provenance['results']['epoch']} is saved in {folder.path}"
        ) from error
    _save(folder, built, texts)
    _show_end(console, folder, built, training, interruption)
    return interruption.exit_status


def _default_folder(corpus: tuple[str, ...]) -> Path:
    """``<first corpus>-model`` in the current folder."""
    from charloom.text.compressed_inputs import is_compressed
    from charloom.text.documents import HUGGING_FACE

    first = corpus[0] if corpus else TIME_MACHINE
    if first == STANDARD_INPUT:
        return Path("text-model")
    if first.startswith(HUGGING_FACE):
        first = re.split("[:@]", first.removeprefix(HUGGING_FACE))[0]
    path = Path(first).resolve()
    return Path(f"{(path.with_suffix('') if is_compressed(path.name) else path).stem}-model")


def _show_start(
    console: Console, corpus: "Corpus", model: "LanguageModel", settings: TrainingSettings, recipe: str
) -> None:
    import torch

    from charloom.device import find_device

    layer = model.layer
    parameters = sum(parameter.numel() for parameter in model.parameters())
    unit = "bytes" if corpus.vocabulary.unit == "byte" else "characters"
    console.print(f"text    {corpus.name}: {len(corpus.ids):,} {unit}, {len(corpus.vocabulary)} different tokens")
    console.print(
        f"model   {type(layer).__name__}, {layer.num_layers} x {layer.hidden_size} units, {parameters:,} parameters"
    )
    threads = settings.threads or torch.get_num_threads()
    console.print(
        f"run     recipe {recipe}, {settings.epochs} epochs, {find_device(settings.device)}, {threads} threads"
    )


def _load(corpus: tuple[str, ...], text: CorpusSettings) -> "Corpus":
    """Loads the text; where it is long, with a progress bar."""
    from charloom.text.corpora import load_corpus

    with screen.reading_progress("reading the text") as progress:

        def show(done: int, total: int | None) -> None:
            if not progress.tasks and (done if total is None else total) > _LONG_TEXT:
                progress.add_task("")
            for task in progress.task_ids:
                progress.update(task, completed=done, total=total)

        return load_corpus(corpus or None, **vars(text), progress=show)


def _save(folder: "RunFolder", model: "LanguageModel", texts: tuple[bytes, bytes] | None) -> None:
    """Saves to the folder; where that fails, to a new temporary folder, and says so. Ctrl-C waits until it is done."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        folder.finish(model, texts)
    except (CharloomError, OSError) as error:
        refuge = tempfile.mkdtemp(prefix="charloom-")
        model.save(refuge)
        raise ModelFolderError(f"{error}; the model is saved in {refuge} instead") from error
    finally:
        signal.signal(signal.SIGINT, before)


def _show_end(
    console: Console,
    folder: "RunFolder",
    model: "LanguageModel",
    settings: TrainingSettings,
    interruption: Interruption,
) -> None:
    epochs = len(folder.history)
    if interruption.requested:
        console.print(
            f"Stopped by {interruption.requested.name} after {epochs} whole epochs; what was learnt is saved."
        )
    elif epochs < settings.epochs:
        console.print(f"Stopped after epoch {epochs}: validation was no better for {settings.patience} epochs.")
    if epochs:
        results = model.provenance["results"]
        kept = folder.history[results["epoch"] - 1]
        validation = kept.validation_perplexity
        console.print(
            f"Perplexity {kept.perplexity:.3f}"
            + (f", validation {validation:.3f}" if validation is not None else "")
            + (f" of epoch {kept.epoch}, the best," if settings.ends_with_best else "")
            + f" after {epochs} epochs, {folder.history[-1].seconds:.1f} s."
        )
    console.print(f"Saved in {folder.path}: " + ", ".join(sorted(file.name for file in folder.path.iterdir())))
    prefix = next(iter(model.provenance["prefixes"]), "")
    # Bytes that no shell takes, or no screen shows, are the default anyway.
    option = f" --prefix {shlex.quote(prefix)}" if prefix and prefix.isprintable() else ""
    console.print(f"Next: charloom generate {shlex.quote(str(folder.path))}{option}")
