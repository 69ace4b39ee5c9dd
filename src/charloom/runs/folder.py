"""The folder of a training run: the model, ``history.jsonl`` (a line per epoch) and ``history.png``.

Checkpoints are in a subfolder; see ``training.checkpoints``.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from charloom.compression.preparation import prepare_codec
from charloom.errors import Argument, CharloomError, CharloomWarning, InputError, ModelFolderError, Part
from charloom.io import plots
from charloom.io.lock import FolderLock
from charloom.models.folder import CHECKPOINT_FOLDER, CODEC_FILES, CONFIG_FILE, WEIGHTS_FILE
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import list_checkpoint_files
from charloom.training.events import EpochEnded, Event
from charloom.training.history import History
from charloom.training.picture import draw_curves
from charloom.training.run_checks import compute_training_length
from charloom_codec.io.atomic import remove_leftovers, write_atomically
from charloom_codec.io.hub import is_hub_name
from charloom_codec.model import priming

HISTORY_FILE = "history.jsonl"
PLOT_FILE = "history.png"
_FORCE = Argument("force", True)
_CHOOSE_ANOTHER = ("choose another folder with ", Argument("output"))
_OWN_FILES = re.compile("|".join(map(re.escape, (CONFIG_FILE, WEIGHTS_FILE, *CODEC_FILES, HISTORY_FILE, PLOT_FILE))))


@contextlib.contextmanager
def report_write_errors(folder: Path) -> Iterator[None]:
    """Converts an OSError within the ``with`` statement to a ModelFolderError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ModelFolderError(f"{folder}: cannot be written ({error.strerror or error})") from None


class RunFolder:
    """Folder that a run is written to. As a listener, it records the history and writes it after each epoch.

    Attributes:
        path: Path of the folder.
        history: Records of the epochs so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = History()
        self._num_written = 0
        self._write_failed = False
        self._lock = FolderLock(path, "another run")
        self._is_created = False

    def acquire(self, *, force: bool = False) -> None:
        """Creates the folder and locks it against other runs.

        Args:
            force: If True, accepts a folder that contains a model or an interrupted run (a checkpoint after step 0).

        Raises:
            ModelFolderError: The path is a file or a name on the Hub, the folder cannot be written or is locked by
                another run, or, without ``force``, it contains a model or an interrupted run.
        """
        hint: tuple[Part, ...]
        if self.path.is_file():
            raise ModelFolderError(f"{self.path} is a file", hint=("choose a folder with ", Argument("output")))
        if is_hub_name(self.path):
            hint = ("choose a folder with ", Argument("output"), ", and upload it with charloom push")
            raise ModelFolderError(f"{self.path} is a name on the Hub", hint=hint)
        with report_write_errors(self.path):
            self._is_created = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        hint = ()
        if (self.path / CONFIG_FILE).exists():
            found, hint = "already contains a model", (*_CHOOSE_ANOTHER, ", or use ", _FORCE)
        # A checkpoint of step 0 holds no training, so it may be replaced.
        elif list_checkpoint_files(self.path / CHECKPOINT_FOLDER, after=0):
            found = "contains an interrupted run"
            hint = (
                *("pass ", Argument("resume", str(self.path)), " to resume it, or use "),
                *(_FORCE, " to start a new one"),
            )
        if hint and not force:
            self._lock.release()
            raise ModelFolderError(f"{self.path} {found}", hint=hint)

    def prepare(self, history: History | None = None) -> None:
        """Removes temporary files of killed processes and, for a resumed run, writes its history.

        Call it after ``acquire``. Files of an earlier run are not deleted.

        Args:
            history: Epochs of the run that is resumed, which are copied; None or empty for a new run.

        Raises:
            ModelFolderError: The folder cannot be written.
        """
        with report_write_errors(self.path):
            remove_leftovers(self.path, _OWN_FILES)
            if history:
                self.history[:] = history  # in place: TrainingRun refers to the same list
                self._write_history()

    @property
    def files(self) -> list[str]:
        """Sorted names of the files and folders in it, except hidden ones."""
        return sorted(file.name for file in self.path.iterdir() if not file.name.startswith("."))

    def release(self) -> None:
        """Unlocks the folder, and removes it if it is empty and was created by ``acquire``."""
        self._lock.release()
        if self._is_created:
            with contextlib.suppress(OSError):  # rmdir fails, as intended, if anything is in the folder
                self.path.rmdir()

    def __call__(self, event: Event) -> None:
        """Appends the record of each epoch to the history.

        If the file cannot be written, warns once until a write succeeds.
        """
        if isinstance(event, EpochEnded):
            self.history.append(event.record)
            try:
                self._write_history()
            except OSError as error:
                if not self._write_failed:
                    warnings.warn(
                        f"{self.path / HISTORY_FILE} cannot be written ({error.strerror or error}); training "
                        "continues, and writing will be retried after each epoch",
                        CharloomWarning,
                        stacklevel=2,
                    )
                self._write_failed = True

    def _write_history(self) -> None:
        """Appends the missing lines, or writes the whole file if it may be incomplete or of another run."""
        file = self.path / HISTORY_FILE
        # The count is 0 until a write succeeds: a failed append may leave half a line, after which the next call
        # writes the whole file.
        start, self._num_written = self._num_written if file.exists() else 0, 0
        lines = "".join(record.to_json() + "\n" for record in self.history[start:])
        if start:
            with file.open("a", encoding="utf-8") as stream:
                stream.write(lines)
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically({file: lines.encode()})
        self._num_written, self._write_failed = len(self.history), False

    def finish(self, model: LanguageModel, texts: tuple[bytes, bytes] = (b"", b"")) -> None:
        """Writes the model, the files for compression, the history and its plot.

        The files for compression are ``codec.safetensors`` and, with texts, ``priming.safetensors``: text that the
        compressor reads before the data. If the codec does not support the model, this warns and does not write them.
        The plot is deleted first and written last, as the mark of a complete save. Without epochs there is no plot, and
        ``history.jsonl`` is deleted.

        Args:
            model: The trained model.
            texts: Ends of the training part and of the held-out part (``texts_for_codec``); empty to store none.

        Raises:
            ModelFolderError: The model or the files for compression cannot be written.
            OSError: The history or the plot cannot be written or deleted.
        """
        # The model comes before the files that can be created from it again.
        (self.path / PLOT_FILE).unlink(missing_ok=True)
        model.save(self.path)
        seen, held_out = texts
        try:
            prepare_codec(self.path, model, seen=seen, held_out=held_out)
        # The model is saved, so a model or text that the codec does not support is no reason to fail.
        except InputError as error:
            warnings.warn(
                CharloomWarning("the model is saved, but cannot be used for compression: ", *error.parts), stacklevel=2
            )
        if self.history:
            self._write_history()
            kept_epoch = (model.provenance.get("results") or {}).get("epoch")
            write_atomically({self.path / PLOT_FILE: plot_history(self.history, kept_epoch)})
        else:
            (self.path / HISTORY_FILE).unlink(missing_ok=True)  # of a run that this one overwrites

    def load_finished(self, checkpoint: Checkpoint, settings: TrainingSettings) -> LanguageModel | None:
        """Loads the model of a run with nothing left to train; returns None if it has to be saved (again).

        Args:
            checkpoint: Last checkpoint of the run. The model's provenance must have its settings and number of epochs.
            settings: Present settings; None is returned if they require the weights of another epoch, such as the best.
        """
        if not (self.path / PLOT_FILE).exists():  # the process was killed while it was saving
            return None
        if settings.ends_with_best != checkpoint.settings.ends_with_best:
            return None
        try:
            model = LanguageModel.load(self.path)
        # A model that cannot be loaded is saved again.
        except CharloomError:
            return None
        results = model.provenance.get("results") or {}
        # The provenance was read from JSON, which has lists and no tuples.
        stored = asdict(checkpoint.settings) | {"prefix": list(checkpoint.settings.prefix)}
        same = model.provenance.get("training") == stored
        return model if same and results.get("epochs_trained") == len(checkpoint.history) else None


def texts_for_codec(corpus: Corpus, settings: TrainingSettings) -> tuple[bytes, bytes]:
    """Returns the ends of the training part and of the held-out part, ``MAX_PRIMING`` tokens at most, as bytes."""

    def end(start: int, stop: int) -> bytes:
        # Priming takes at most this many bytes: of a long text, nothing before them is decoded.
        text = corpus.vocabulary.decode(corpus.ids[max(start, stop - priming.MAX_PRIMING) : stop])
        return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")

    at = compute_training_length(len(corpus.ids), settings)
    return end(0, at), end(at, len(corpus.ids))


def plot_history(history: History, kept_epoch: int | None = None) -> bytes:
    """Plots training and validation perplexity over epochs.

    Args:
        history: Records of at least one epoch.
        kept_epoch: Epoch whose weights were saved, marked if it is not the last; None for the last.

    Returns:
        The plot as a PNG.
    """
    figure = plots.new_figure(7, 4.2)
    axes = figure.add_subplot()
    draw_curves(axes, history)
    kept, of_all = history[-1], ""
    if kept_epoch is not None and kept_epoch < history[-1].epoch:
        axes.axvline(kept_epoch, color="0.4", linestyle=":", label="kept")
        kept, of_all = history[kept_epoch - 1], f" of {len(history)}"
    also = "" if kept.validation_perplexity is None else f", validation {kept.validation_perplexity:.3g}"
    axes.set_title(f"training {kept.perplexity:.3g}{also}, after epoch {kept.epoch}{of_all}")
    axes.legend()
    return plots.render_figure(figure)
