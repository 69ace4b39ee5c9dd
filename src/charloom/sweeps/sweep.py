"""A sweep from a text and settings to results."""

import os
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import torch

from charloom.arguments import PATH, check_listeners, check_type
from charloom.errors import CharloomError, ModelFolderError, SettingsError
from charloom.runs.plan import check_read_with
from charloom.settings.corpus import CorpusSettings
from charloom.settings.limits import check_count
from charloom.settings.model import ModelSettings
from charloom.settings.recipes import Recipe
from charloom.settings.training import TrainingSettings
from charloom.sweeps.events import RunEnded, RunFailed, SweepBegan, SweepEvent, SweepListener, SweepProgressed
from charloom.sweeps.folder import SweepFolder
from charloom.sweeps.picture import draw_sweep
from charloom.sweeps.plan import (
    PlannedRun,
    grid,
    in_combination,
    listed,
    plan_runs,
    recipe_to_json,
    setting_of,
    without_display,
)
from charloom.sweeps.processes import Workers
from charloom.sweeps.results import SweepResults, combinations_as_csv, runs_as_json_lines
from charloom.sweeps.worker import write_corpus
from charloom.text.corpora import Corpus, load_corpus
from charloom.text.sources import STANDARD_INPUT
from charloom.training.events import StopTraining
from charloom.training.trainer import check_possible

RESULT_FILES = ("results.csv", "results.jsonl", "sweep.png")
_SECONDS_BETWEEN_EVENTS = 0.25
_MOST_SEEDS = 100_000


def sweep(
    source: str | Path | Sequence[str | Path] | Corpus | None,
    vary: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    recipe: Recipe | None = None,
    *,
    num_seeds: int = 1,
    output: str | Path | None = None,
    jobs: int | None = None,
    keep_models: bool = False,
    listeners: Sequence[SweepListener] = (),
) -> SweepResults:
    """Trains a model for each combination of settings and each seed, in processes side by side.

    Each run has one thread, unless the recipe's training settings say otherwise, and comes out the same whatever the
    number of processes. The same sweep in the same folder goes on where it was, and one with more values or seeds does
    what is new.

    Args:
        source: The text, as ``load_corpus`` takes it; or a corpus, if the settings of how it was read are the recipe's.
        vary: A list of values for each of some settings (any field of ``CorpusSettings``, ``ModelSettings`` and
            ``TrainingSettings``, by name), of which every combination is run: ``{"hidden_size": [64, 128]}``. Or a
            list of combinations, each with some settings' values.
        recipe: What is not varied; the defaults of the three classes where None.
        num_seeds: Runs of each combination: with ``recipe.training.seed`` and the numbers after it.
        output: Folder to keep the sweep in. None: nothing is kept.
        jobs: Processes side by side. Where None, one for each processor, which is quicker than several threads in each;
            on a GPU one.
        keep_models: Keep each run's model, with its history, in its folder.
        listeners: Called with each event; one may raise ``StopTraining``.

    Returns all runs that are done in the folder.

    Raises SettingsError, before anything is trained, where a combination cannot be or contradicts what is fixed in the
    folder; ModelFolderError where the folder is not a sweep's or cannot be written.
    """
    check_type((*PATH, Sequence, Corpus, NoneType), source=source)
    check_type((Mapping, Sequence), vary=vary)
    check_type((Recipe, NoneType), recipe=recipe)
    check_type((*PATH, NoneType), output=output)
    check_type(bool, keep_models=keep_models)
    check_listeners(listeners)
    check_count("num_seeds", num_seeds, minimum=1, maximum=_MOST_SEEDS)
    if jobs is not None:
        check_count("jobs", jobs, minimum=1)
    combinations = grid(vary) if isinstance(vary, Mapping) else listed(vary)
    base = without_display(recipe or Recipe(CorpusSettings(), ModelSettings(), TrainingSettings()))
    planned = plan_runs(base, combinations, range(base.training.seed, base.training.seed + num_seeds))
    varied = tuple(dict.fromkeys(name for combination in combinations for name in combination))
    with tempfile.TemporaryDirectory(prefix="charloom-") as temporary:
        folder = SweepFolder(Path(output) if output is not None else Path(temporary) / "sweep")
        corpora = _load_corpora(source, planned)
        devices = [_check(run, corpora[run.recipe.corpus], varied) for run in planned]
        folder.check(base, varied, corpora)
        to_do = [run for run in planned if not folder.has(run, with_model=keep_models)]
        with folder.at_work(base, varied):
            sweeping = _Sweeping(folder, to_do, corpora, keep_models, listeners)
            try:
                on_cpu = all(device.type == "cpu" for device in devices)
                sweeping.work(jobs or (_processors() // (base.training.threads or 1) if on_cpu else 1) or 1)
            finally:
                results = _results(folder, sweeping)
        if output is None:
            results = replace(results, runs=[replace(run, folder=None) for run in results.runs])
    return results


class _Sweeping:
    """The runs that are to be done: which wait, which go on, which failed."""

    def __init__(
        self,
        folder: SweepFolder,
        to_do: Sequence[PlannedRun],
        corpora: Mapping[CorpusSettings, Corpus],
        keep_models: bool,
        listeners: Sequence[SweepListener],
    ) -> None:
        self._folder = folder
        self.waiting = deque(to_do)
        self.going_on: dict[int, PlannedRun] = {}
        self.failures: dict[str, str] = {}
        self._corpora = corpora
        self._keep_models = keep_models
        self._listeners = listeners
        self._num_epochs = sum(run.recipe.training.epochs for run in to_do)
        self._epochs_ended = 0  # of runs that ended
        self._epochs_going_on: dict[int, int] = {}

    def work(self, jobs: int) -> None:
        """Does them all, or as many as listeners let it."""
        num_jobs = min(jobs, len(self.waiting))
        try:
            threads = self.waiting[0].recipe.training.threads or 1 if self.waiting else 1
            self._tell(SweepBegan(len(self._folder.runs), len(self.waiting), num_jobs, threads))
            if not num_jobs:
                return
            paths = self._write_corpora()
            with Workers(num_jobs, self._folder.work) as workers:
                for process in range(num_jobs):
                    self._give_order(workers, process, paths)
                while self.going_on:
                    answer = workers.next_answer(_SECONDS_BETWEEN_EVENTS)
                    if answer is not None and answer.process in self.going_on:
                        self._hear(answer.process, answer.message, workers)
                        if answer.process not in self.going_on and self.waiting:
                            self._give_order(workers, answer.process, paths)
                    done = self._epochs_ended + sum(self._epochs_going_on.values())
                    self._tell(SweepProgressed(done / self._num_epochs))
        except StopTraining:
            pass

    def _hear(self, process: int, message: dict[str, Any] | None, workers: Workers) -> None:
        run = self.going_on[process]
        if message is not None and "epoch" in message:
            self._epochs_going_on[process] = message["epoch"]
            return
        del self.going_on[process]
        self._epochs_going_on.pop(process, None)
        self._epochs_ended += run.recipe.training.epochs
        if message is not None and "ended" in message:
            self._tell(RunEnded(self._folder.take_in(run)))
            return
        if message is not None and "error" in message:
            raise CharloomError(f"{run.name}: {message['error']}")
        self.failures[run.name] = workers.why_it_died(process) if message is None else message["failed"]
        self._tell(RunFailed(run.name, self.failures[run.name]))

    def _give_order(self, workers: Workers, process: int, paths: Mapping[CorpusSettings, Path]) -> None:
        run = self.going_on[process] = self.waiting.popleft()
        workers.order(
            process,
            {
                "folder": str((self._folder.work / run.name).resolve()),
                "corpus": str(paths[run.recipe.corpus].resolve()),
                "settings": recipe_to_json(run.recipe),
                "keep_model": self._keep_models,
            },
        )

    def _write_corpora(self) -> dict[CorpusSettings, Path]:
        paths = {}
        for number, settings in enumerate(dict.fromkeys(run.recipe.corpus for run in self.waiting)):
            paths[settings] = self._folder.work / f"corpus-{number}"
            try:
                write_corpus(paths[settings], self._corpora[settings])
            except OSError as error:
                raise ModelFolderError(f"{self._folder.path}: cannot write there ({error.strerror or error})") from None
        return paths

    def _tell(self, event: SweepEvent) -> None:
        for listener in self._listeners:
            listener(event)


def _load_corpora(source: Any, planned: Sequence[PlannedRun]) -> dict[CorpusSettings, Corpus]:
    """The text under each of the ways to read it that are planned."""
    kinds = dict.fromkeys(run.recipe.corpus for run in planned)
    if isinstance(source, Corpus):
        if len(kinds) > 1:
            raise SettingsError("a corpus is read already: to vary how it is read, give the sweep its source")
        for settings in kinds:
            check_read_with(source, settings)
        return dict.fromkeys(kinds, source)
    sources = [source] if isinstance(source, PATH) else source or []
    if len(kinds) > 1 and STANDARD_INPUT in sources:
        raise SettingsError("standard input can be read only once: to vary how the text is read, put it into a file")
    return {settings: load_corpus(source, **vars(settings)) for settings in kinds}


def _check(run: PlannedRun, corpus: Corpus, varied: Sequence[str]) -> torch.device:
    """Raises SettingsError where the run cannot be. The device that it is for."""
    try:
        return check_possible(run.recipe.training, len(corpus.ids))
    except SettingsError as error:
        if not varied:
            raise
        raise in_combination(error, {name: setting_of(run.recipe, name) for name in varied}) from None


def _processors() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def _results(folder: SweepFolder, sweeping: _Sweeping) -> SweepResults:
    missing = len(sweeping.waiting) + len(sweeping.going_on) + len(sweeping.failures)
    results = SweepResults(folder.varied, list(folder.runs.values()), missing, sweeping.failures)
    if results.runs:
        contents = (combinations_as_csv(results), runs_as_json_lines(results), draw_sweep(results))
        folder.write_results(dict(zip(RESULT_FILES, contents, strict=True)))
    return results
