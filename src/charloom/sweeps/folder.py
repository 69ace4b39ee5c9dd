"""The folder of a sweep: its fixed and varied settings, and its complete runs.

::

    sweep.json       fixed settings, and names of the varied ones
    runs/NAME/       a complete run: run.json, history.jsonl, and the model if models are kept
    results.csv      a row for each combination       results.jsonl    a line for each run       sweep.png
    .work/           incomplete runs; removed at the end of the sweep
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from charloom.errors import Argument, CharloomError, ModelFolderError, SettingsError, format_value
from charloom.io.lock import FolderLock
from charloom.models.folder import CONFIG_FILE
from charloom.runs.folder import HISTORY_FILE, report_write_errors
from charloom.runs.outcome import Outcome
from charloom.settings.corpus import CorpusSettings
from charloom.settings.recipes import Recipe
from charloom.sweeps.plan import PlannedRun, settings_key
from charloom.sweeps.results import SweepRun
from charloom.text.corpora import Corpus
from charloom.training.history import EpochRecord, History
from charloom_codec.io.atomic import write_atomically
from charloom_codec.version import __version__

SWEEP_FILE = "sweep.json"
RUN_FILE = "run.json"
_FORMAT_VERSION = 1
_CHOOSE_ANOTHER = ("choose another folder with ", Argument("output"))
# Any JSON value may be in a damaged file, so that reading a field can raise any of these.
_READ_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, CharloomError)


class SweepFolder:
    """A folder that a sweep is written to.

    Attributes:
        path: Path of the folder.
        work: Folder of the incomplete runs.
        varied: Names of all settings that were varied in the folder.
        runs: Complete runs, by ``settings_key``.
    """

    def __init__(self, path: Path) -> None:
        """Reads the folder if it exists. Raises ModelFolderError if it is damaged or is not the folder of a sweep."""
        self.path = path
        self.work = path / ".work"
        self.varied: tuple[str, ...] = ()
        self.runs: dict[str, SweepRun] = {}
        self._texts: dict[CorpusSettings, tuple[str, str]] = {}
        """Name and fingerprint of the training text, for each of the settings that it was read with."""
        self._fixed: Recipe | None = None
        if (path / SWEEP_FILE).exists():
            self._read()
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ModelFolderError(f"{path} exists, but is not the folder of a sweep", hint=_CHOOSE_ANOTHER)

    def check(self, base: Recipe, varied: Sequence[str], corpora: Mapping[CorpusSettings, Corpus]) -> None:
        """Raises SettingsError if the fixed settings or the texts differ from those of the runs in the folder."""
        # A setting that is varied now may differ: the value that was fixed before counts as one of its values.
        free = {*self.varied, *varied, "seed"}
        for name, before in self._fixed.values.items() if self._fixed else ():
            now = base.values[name]
            if before != now and name not in free:
                old, new = format_value(before), format_value(now)
                raise SettingsError(
                    *(f"{self.path}: the sweep in this folder uses ", Argument(name), f" {old}, not {new}"),
                    hint=(*_CHOOSE_ANOTHER, ", or pass ", Argument("vary", {name: [before, now]})),
                )
        # The fingerprint depends on the settings of reading; for new ones only the name can be compared.
        names = {name for name, _ in self._texts.values()}
        for settings, corpus in corpora.items():
            known = self._texts.get(settings)
            if known[1] != corpus.fingerprint if known else names and corpus.name not in names:
                raise SettingsError(
                    f"{self.path}: the runs in this folder were trained on a text other than {corpus.name}, or that "
                    "text has since changed",
                    hint=_CHOOSE_ANOTHER,
                )

    @contextlib.contextmanager
    def locked(self, base: Recipe, varied: Sequence[str]) -> Iterator[None]:
        """Creates the folder and locks it during the block. Raises ModelFolderError if that fails."""
        self.varied = tuple(dict.fromkeys([*self.varied, *varied]))
        self._fixed = self._fixed or base
        head = {"format_version": _FORMAT_VERSION, "charloom": __version__, "varied": self.varied}
        with contextlib.ExitStack() as stack:
            with report_write_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                # Locked first: the work folder may be that of a sweep in progress.
                stack.enter_context(FolderLock(self.path, "another sweep"))
                shutil.rmtree(self.work, ignore_errors=True)  # from a sweep that was killed
                stack.callback(shutil.rmtree, self.work, ignore_errors=True)
                self.work.mkdir()
                (self.path / "runs").mkdir(exist_ok=True)
                _write_json(self.path / SWEEP_FILE, head | {"fixed": self._fixed.values})
            yield

    def has(self, run: PlannedRun, *, with_model: bool) -> bool:
        """Returns True if a run is complete and, if ``with_model`` is set, its model is in the folder."""
        done = self.runs.get(settings_key(run.recipe))
        if done is None or done.folder is None:
            return False
        # A diverged run has no model to save, and repeating it would give the same result.
        return not with_model or done.outcome == "diverged" or (done.folder / CONFIG_FILE).exists()

    def add_run(self, run: PlannedRun) -> SweepRun:
        """Moves a complete run from the work folder to its final folder, and returns it."""
        # An earlier sweep in the folder may have varied other settings, and named the run after those.
        before = self.runs.get(settings_key(run.recipe))
        folder = (before and before.folder) or self.path / "runs" / run.name
        if folder.exists():
            shutil.rmtree(folder)  # a run without its model, or an incomplete folder
        # A rename is atomic: a reader finds the complete run or none.
        (self.work / run.name).rename(folder)
        # Read back, because it was trained in another process, which returns no history.
        return self._read_run(folder)

    def _read(self) -> None:
        file = self.path / SWEEP_FILE
        try:
            data = json.loads(file.read_bytes())
            is_later = data["format_version"] != _FORMAT_VERSION
            if not is_later:
                self._fixed = Recipe().with_changes(data["fixed"])
                self.varied = tuple(name for name in data["varied"] if name in self._fixed.values)
        except _READ_ERRORS as error:
            raise ModelFolderError(f"{file}: damaged ({error})", hint=_CHOOSE_ANOTHER) from None
        # Raised outside the try block, which would report the file as damaged.
        if is_later:
            raise ModelFolderError(
                f"{file}: written by a version of charloom later than {__version__}; install a later version"
            )
        for run in sorted((self.path / "runs").glob(f"*/{RUN_FILE}")):
            try:
                self._read_run(run.parent)
            except _READ_ERRORS as error:
                raise ModelFolderError(f"{run}: damaged ({error}); delete its folder to repeat the run") from None

    def _read_run(self, folder: Path) -> SweepRun:
        data = json.loads((folder / RUN_FILE).read_bytes())
        recipe = Recipe().with_changes(data["settings"])
        lines = (folder / HISTORY_FILE).read_text(encoding="utf-8").splitlines() if data["epochs"] else []
        validated = bool(recipe.training.validation_fraction)
        records = [EpochRecord.from_dict(json.loads(line), validated=validated) for line in lines]
        if data["outcome"] not in ("finished", "diverged") or len(records) != data["epochs"]:
            raise ValueError(f"outcome {data['outcome']}, {len(records)} epochs of {data['epochs']}")
        run = SweepRun(recipe, data["outcome"], data["message"], History(records), folder)
        self.runs[settings_key(recipe)] = run
        self._texts[recipe.corpus] = data["corpus"]["name"], data["corpus"]["sha256"]
        return run


def write_run(folder: Path, recipe: Recipe, corpus: Corpus, outcome: Outcome) -> None:
    """Writes the file that marks a run as complete: its outcome, text and settings."""
    data = {
        "charloom": __version__,
        "outcome": outcome.status,
        "message": str(outcome.error or ""),
        "epochs": len(outcome.history),
        "corpus": {"name": corpus.name, "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)},
        "settings": recipe.values,
    }
    _write_json(folder / RUN_FILE, data)


def _write_json(file: Path, data: Mapping[str, object]) -> None:
    write_atomically({file: (json.dumps(data, indent=1) + "\n").encode()})
