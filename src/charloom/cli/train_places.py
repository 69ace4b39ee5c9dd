"""Where a run of ``charloom train`` is, and what is there already."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from charloom.cli.train_beginnings import Beginning
from charloom.errors import CharloomError, SettingsError
from charloom.settings import TrainingSettings
from charloom.text.named_corpora import TIME_MACHINE
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.training.checkpoint import Checkpoint
    from charloom.training.processes import Processes
    from charloom.training.run_folder import RunFolder


def run_of_option(resume: Path, out: Path | None) -> Path:
    """The folder of the run, where one of its checkpoints is named too."""
    from charloom.training.checkpoints import run_of

    run = run_of(resume)
    if run is None and out is None:
        raise SettingsError(f"{resume} is not in the folder of a run: name a folder to go on in with --out")
    return run or resume


def goes_on_in(resume: Path, place: Path, *, overwrite: bool) -> bool:
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


def default_folder(corpus: tuple[str, ...]) -> Path:
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


def checkpoint_of(processes: "Processes", place: Path, resume: Path | None) -> "Checkpoint | None":
    """What training goes on from: after a restart the run's own last checkpoint, else what is to be resumed."""
    from charloom.training.checkpoints import newest_checkpoint
    from charloom.training.shared_checkpoints import newest_checkpoint_of

    if processes.restarts and (found := newest_checkpoint_of(processes, place, of_this_run=True)) is not None:
        return found
    if resume is None:
        return None
    found = newest_checkpoint_of(processes, resume)
    return found if found is not None else newest_checkpoint(resume)  # which says why there is none


def is_there(folder: "RunFolder", begun: Beginning, training: TrainingSettings) -> bool:
    """Whether the folder has the very model that a run at its end would save."""
    from charloom.language_model import LanguageModel

    checkpoint = begun.checkpoint
    if checkpoint is None or training.ends_with_best != checkpoint.settings.ends_with_best:
        return False
    try:
        known = LanguageModel.load(folder.path).provenance
    except CharloomError:
        return False
    settings = json.loads(json.dumps(asdict(checkpoint.settings)))
    results = known.get("results") or {}
    return known.get("training") == settings and results.get("epochs_trained") == len(checkpoint.history)
