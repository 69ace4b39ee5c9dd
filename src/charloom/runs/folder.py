"""The folder of a training run: the model, ``history.jsonl`` (a line as each epoch ends) and ``history.png``.

Checkpoints are in a folder within; see ``training.checkpoints``.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from charloom.codec.model import priming
from charloom.codec.model.preparation import prepare_codec
from charloom.errors import Argument, CharloomWarning, InputError, ModelFolderError, Part
from charloom.io import plots
from charloom.io.atomic import remove_leftovers, write_atomically
from charloom.io.lock import FolderLock
from charloom.models.folder import CHECKPOINTS, CODEC_FILES, CONFIG_FILE, WEIGHTS_FILE
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus
from charloom.training.checkpoints.folder import checkpoint_files
from charloom.training.events import EpochEnded, Event
from charloom.training.history import History
from charloom.training.trainer import training_length

HISTORY_FILE = "history.jsonl"
PLOT_FILE = "history.png"
_FORCE = Argument("force", True)
_WRITTEN_HERE = re.compile("|".join(map(re.escape, (CONFIG_FILE, WEIGHTS_FILE, *CODEC_FILES, HISTORY_FILE, PLOT_FILE))))


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Raises ModelFolderError instead of OSError."""
    try:
        yield
    except OSError as error:
        raise ModelFolderError(f"{folder}: cannot write there ({error.strerror or error})") from None


class RunFolder:
    """Writes a run to its folder. As a listener it keeps the history, and writes it, while training goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = History()
        self._num_written = 0
        self._failing = False
        self._lock = FolderLock(path, "another run")

    def enter(self, *, force: bool = False) -> None:
        """Makes the folder and keeps other runs out of it. Raises ModelFolderError if that fails.

        Also if a model or a run is in it already, unless ``force`` is set.
        """
        if self.path.is_file():
            raise ModelFolderError(f"{self.path} is a file", hint=("name a folder with ", Argument("output")))
        with writing_to(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        hint: tuple[Part, ...] = ()
        if (self.path / CONFIG_FILE).exists():
            found, hint = "a model already", ("name another folder, or give ", _FORCE)
        elif checkpoint_files(self.path / CHECKPOINTS, after=0):
            found = "a run that was interrupted"
            hint = (Argument("resume", str(self.path)), " resumes it, ", _FORCE, " starts a new one")
        if hint and not force:
            self._lock.release()
            raise ModelFolderError(f"{self.path}: there is {found}", hint=hint)

    def begin(self, history: History | None = None) -> None:
        """Readies the folder for a run, or one that goes on with its history. Raises ModelFolderError if that fails."""
        with writing_to(self.path):
            remove_leftovers(self.path, _WRITTEN_HERE)
            if history:
                self.history[:] = history
                self._write_history()

    @property
    def files(self) -> list[str]:
        """The names of what is in it, but for hidden files."""
        return sorted(file.name for file in self.path.iterdir() if not file.name.startswith("."))

    def leave(self) -> None:
        """Lets other runs in; removes the folder if nothing was written to it."""
        self._lock.release()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def __call__(self, event: Event) -> None:
        """Appends each epoch to the history; warns once as long as that fails."""
        if isinstance(event, EpochEnded):
            self.history.append(event.record)
            try:
                self._write_history()
            except OSError as error:
                if not self._failing:
                    warnings.warn(
                        f"{self.path / HISTORY_FILE} cannot be written ({error.strerror or error}): training "
                        "continues, and tries again after each epoch",
                        CharloomWarning,
                        stacklevel=2,
                    )
                self._failing = True

    def _write_history(self) -> None:
        """Appends what the file lacks; writes it whole if it is another run's, gone, or perhaps ends in half a line."""
        file = self.path / HISTORY_FILE
        begin, self._num_written = self._num_written if file.exists() else 0, 0
        lines = "".join(record.to_json() + "\n" for record in self.history[begin:])
        if begin:
            with file.open("a", encoding="utf-8") as stream:
                stream.write(lines)
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically({file: lines.encode()})
        self._num_written, self._failing = len(self.history), False

    def finish(self, model: LanguageModel, texts: tuple[bytes, bytes] = (b"", b"")) -> None:
        """Writes the model first, as it cannot be made again; what compression needs of the texts; the plot last."""
        (self.path / PLOT_FILE).unlink(missing_ok=True)
        model.save(self.path)
        seen, unseen = texts
        try:
            prepare_codec(self.path, model, seen=seen, unseen=unseen)
        except InputError as error:
            warnings.warn(CharloomWarning("not made ready for compression: ", *error.parts), stacklevel=2)
        if self.history:
            self._write_history()
            kept_epoch = (model.provenance.get("results") or {}).get("epoch")
            write_atomically({self.path / PLOT_FILE: plot_history(self.history, kept_epoch)})
        else:
            (self.path / HISTORY_FILE).unlink(missing_ok=True)  # of a run that this one overwrites


def texts_for_codec(corpus: Corpus, settings: TrainingSettings) -> tuple[bytes, bytes]:
    """The ends of what is trained on and of what is kept out, in bytes, as much as a priming can take."""

    def end(start: int, stop: int) -> bytes:
        text = corpus.vocabulary.decode(corpus.ids[max(start, stop - priming.MAX_PRIMING) : stop])
        return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")

    at = training_length(len(corpus.ids), settings)
    return end(0, at), end(at, len(corpus.ids))


def plot_history(history: History, kept_epoch: int | None = None) -> bytes:
    """Perplexity over epochs, training and validation, as a PNG; the kept epoch is marked if it is before the last."""
    from matplotlib.ticker import MaxNLocator

    figure = plots.new_figure(7, 4.2)
    axes = figure.add_subplot()
    epochs = [record.epoch for record in history]
    marker = "o" if len(history) == 1 else None
    axes.plot(epochs, [record.perplexity for record in history], label="training", marker=marker)
    validation = [(r.epoch, r.validation_perplexity) for r in history if r.validation_perplexity is not None]
    if validation:
        axes.plot(*zip(*validation, strict=True), label="validation", marker=marker)
    plots.set_perplexity_axis(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    kept, of_all = history[-1], ""
    if kept_epoch is not None and kept_epoch < history[-1].epoch:
        axes.axvline(kept_epoch, color="0.4", linestyle=":", label="kept")
        kept, of_all = history[kept_epoch - 1], f" of {len(history)}"
    also = "" if kept.validation_perplexity is None else f", validation {kept.validation_perplexity:.3g}"
    axes.set_title(f"training {kept.perplexity:.3g}{also}, after epoch {kept.epoch}{of_all}")
    axes.legend()
    return plots.render_figure(figure)
