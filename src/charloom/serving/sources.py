"""Models that are served: each is loaded from its files, and again after the files change."""

import threading
import warnings
from pathlib import Path

from charloom.errors import CharloomError, CharloomWarning
from charloom.models.folder import CONFIG_FILE
from charloom.models.language_model import LanguageModel
from charloom.serving.completions import ServedModel
from charloom.serving.watched_run import WatchedRun, sign_file
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import find_run_folder, parse_step_number


class ModelSource:
    """The files of a model: a model folder, the folder of a run that has no model yet, or a checkpoint.

    A request uses one model from its start to its end, whatever happens to the files meanwhile.

    Attributes:
        name: Name under which the model is served.
        path: Folder of the model or run, checkpoint file, or name of the model.
        run: Training run in the folder; None if the model is not in a folder.
    """

    def __init__(self, path: Path) -> None:
        """Loads the model, if there is one.

        Args:
            path: Folder of a model or a run, checkpoint file, name of a model of the package or on the Hub.

        Raises:
            CharloomError: There is neither a model nor a run, or the model cannot be loaded.
        """
        self.name = name_source(path)
        self.run = WatchedRun(path) if path.is_dir() else None
        self.path = path
        # It is written last, so that the weights are complete once it changes.
        self._file = path / CONFIG_FILE if path.is_dir() else path
        self._seen = sign_file(self._file)
        self._lock = threading.Lock()
        self._model: ServedModel | None = None
        if self._seen is not None or self.run is None or not self.run.exists:
            self._model = self._load()

    def get(self) -> ServedModel | None:
        """Returns the model of the present files; None if a training run has not saved one yet.

        If changed files cannot be loaded, this warns once and returns the model that was loaded before.
        """
        with self._lock:
            signature = sign_file(self._file)
            if signature is not None and signature != self._seen:
                self._seen = signature
                try:
                    self._model = self._load()
                except CharloomError as error:
                    kept = "the model that was loaded before is served" if self._model else "no model is served"
                    warnings.warn(CharloomWarning(*error.parts, f"; {kept}"), stacklevel=2)
            return self._model

    def _load(self) -> ServedModel:
        if self.path.is_file():
            return ServedModel(self.name, Checkpoint.read(self.path).make_model().eval())
        return ServedModel(self.name, LanguageModel.load(self.path))


def name_source(path: Path) -> str:
    """Returns the name under which a model is served: that of its folder; for a checkpoint, also its step.

    Bytes of a name that are not UTF-8 are replaced, because responses are.
    """
    step = parse_step_number(path) if path.is_file() else -1
    run = find_run_folder(path) if step >= 0 else None
    name = path.resolve().name if run is None else f"{run.name}-step-{step}"
    return name.encode(errors="replace").decode()
