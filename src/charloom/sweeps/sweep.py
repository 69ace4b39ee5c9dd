"""The ``sweep`` function, which plans and trains the runs and writes the results."""

import functools
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TypeAlias

import torch

from charloom.errors import CharloomError, SettingsError
from charloom.models.device import find_device
from charloom.runs.folder import report_write_errors
from charloom.runs.plan import check_corpus_settings
from charloom.settings.corpus import CorpusSettings
from charloom.settings.limits import check_count
from charloom.settings.names import Value
from charloom.settings.recipes import Recipe
from charloom.sweeps.events import RunEnded, RunFailed, SweepEvent, SweepListener, SweepProgressed, SweepStarted
from charloom.sweeps.folder import SweepFolder
from charloom.sweeps.picture import draw_sweep
from charloom.sweeps.plan import (
    PlannedRun,
    add_combination_to_errors,
    check_combinations,
    grid,
    plan_runs,
    without_display,
)
from charloom.sweeps.processes import Workers
from charloom.sweeps.results import SweepResults, combinations_as_csv, runs_as_json_lines
from charloom.sweeps.worker import Task, write_corpus
from charloom.text.corpora import Corpus, load_corpus
from charloom.training.events import StopTraining
from charloom.training.run_checks import check_run
from charloom_codec.arguments import PATH, check_listeners, check_type
from charloom_codec.io.atomic import write_atomically
from charloom_codec.io.standard_streams import STANDARD_INPUT

Source: TypeAlias = str | Path | Sequence[str | Path] | Corpus | None
_SECONDS_BETWEEN_EVENTS = 0.25
"""Maximum time between two progress events, and so until a listener can stop the sweep."""
_MAX_SEEDS = 100_000


def sweep(
    source: Source,
    vary: Mapping[str, Sequence[Value]] | Sequence[Mapping[str, Value]],
    recipe: Recipe | None = None,
    *,
    num_seeds: int = 1,
    output: str | Path | None = None,
    jobs: int | None = None,
    keep_models: bool = False,
    listeners: Sequence[SweepListener] = (),
) -> SweepResults:
    """Trains a model for each combination of settings and each seed, in parallel processes.

    Each run has one thread, unless the recipe sets ``threads``; results do not depend on the number of processes. The
    same call with the same folder resumes the sweep; a call with more values or seeds trains only the new runs.

    Args:
        source: Text to train on, as for ``load_corpus``; or a corpus that was read with the settings of the recipe.
        vary: Mapping of settings to lists of values, all combinations of which are trained, such as
            ``{"hidden_size": [64, 128]}``; or a list of combinations, each a mapping of settings to values. A setting
            is any field of ``CorpusSettings``, ``ModelSettings`` and ``TrainingSettings`` that affects the weights,
            except the seed.
        recipe: Recipe with all other settings. Default: the defaults of the three classes.
        num_seeds: Number of runs of each combination, with consecutive seeds from ``recipe.training.seed``.
        output: Folder for the runs and results. Default: a temporary folder, which is removed.
        jobs: Number of parallel processes. Default: one per CPU core (fewer if each has several threads), which is
            faster than one process with more threads; one on a GPU.
        keep_models: Save the model of each run in its folder. Complete runs in the folder that have no model are
            trained again, except diverged ones.
        listeners: Functions that are called with each event; one may raise ``StopTraining``, which ends the sweep
            without an error.

    Returns:
        The results of all complete runs in the folder, diverged ones included; and, in ``failures``, the reasons of the
        runs that failed.

    Raises:
        SettingsError: A combination is invalid or contradicts the fixed settings of the folder; raised before training.
        ModelFolderError: The folder is not that of a sweep, or is not writable.
        CharloomError: A run met an error that other runs would meet, too, such as a full disk.
    """
    check_type((*PATH, Sequence, Corpus, NoneType), source=source)
    check_type((Mapping, Sequence), vary=vary)
    check_type((Recipe, NoneType), recipe=recipe)
    check_type((*PATH, NoneType), output=output)
    check_type(bool, keep_models=keep_models)
    check_listeners(listeners)
    check_count("num_seeds", num_seeds, minimum=1, maximum=_MAX_SEEDS)
    if jobs is not None:
        check_count("jobs", jobs, minimum=1)
    combinations = grid(vary) if isinstance(vary, Mapping) else check_combinations(vary)
    base = without_display(recipe or Recipe())
    planned = plan_runs(base, combinations, range(base.training.seed, base.training.seed + num_seeds))
    # Combinations from a list may differ in which settings they name; a dict keeps their order.
    varied = tuple(dict.fromkeys(name for combination in combinations for name in combination))
    # Workers exchange texts and runs through files, so that a sweep without an output needs a folder, too.
    with tempfile.TemporaryDirectory(prefix="charloom-") as temporary:
        folder = SweepFolder(Path(output) if output is not None else Path(temporary) / "sweep")
        corpora = _load_corpora(source, planned)
        # Checks each run before the first is trained, so that an error does not come after hours.
        devices = {_device(run, corpora[run.recipe.corpus], varied).type for run in planned}
        folder.check(base, varied, corpora)
        if jobs is None:
            # Processes on one GPU would share its memory.
            jobs = max(1, _count_cores() // (base.training.threads or 1)) if devices == {"cpu"} else 1
        with folder.locked(base, varied):
            results = _train_missing(folder, planned, corpora, jobs, keep_models, listeners)
        if output is None:
            # The temporary folder is removed with this block.
            results = replace(results, runs=[replace(run, folder=None) for run in results.runs])
    return results


def _train_missing(
    folder: SweepFolder,
    planned: Sequence[PlannedRun],
    corpora: Mapping[CorpusSettings, Corpus],
    jobs: int,
    keep_models: bool,
    listeners: Sequence[SweepListener],
) -> SweepResults:
    """Trains the runs that are not complete, until a listener stops the sweep, and writes the results."""
    failures: dict[str, str] = {}
    # A run without its model is repeated if models are to be kept now.
    to_do = [run for run in planned if not folder.has(run, with_model=keep_models)]
    num_jobs, threads = min(jobs, len(to_do)), planned[0].recipe.training.threads or 1
    try:
        _emit(listeners, SweepStarted(len(folder.runs), len(to_do), num_jobs, threads))
        if to_do:
            _train_in_workers(folder, to_do, corpora, num_jobs, keep_models, listeners, failures)
    except StopTraining:
        pass
    finally:
        # Also after an error: hours of complete runs must not be left without a table.
        missing = sum(not folder.has(run, with_model=keep_models) for run in planned)
        results = SweepResults(folder.varied, list(folder.runs.values()), missing, failures)
        if results.runs:
            files = {
                "results.csv": combinations_as_csv(results).encode(),
                "results.jsonl": runs_as_json_lines(results).encode(),
                "sweep.png": draw_sweep(results),
            }
            write_atomically({folder.path / name: content for name, content in files.items()})
    return results


def _train_in_workers(
    folder: SweepFolder,
    to_do: Sequence[PlannedRun],
    corpora: Mapping[CorpusSettings, Corpus],
    num_jobs: int,
    keep_models: bool,
    listeners: Sequence[SweepListener],
    failures: dict[str, str],
) -> None:
    """Trains runs in worker processes, and moves each to its final folder when it is complete."""
    work = folder.work.resolve()
    texts = {settings: work / f"corpus-{i}" for i, settings in enumerate({run.recipe.corpus for run in to_do})}
    with report_write_errors(folder.path):
        for settings, file in texts.items():
            write_corpus(file, corpora[settings])
    # Filled by the threads of ``Workers``: each sets the value of its own key.
    epochs = dict.fromkeys((run.name for run in to_do), 0)
    num_epochs = sum(run.recipe.training.epochs for run in to_do)
    # The block kills the workers, also when a listener raises StopTraining in the loop.
    with Workers(num_jobs) as workers:
        running = {}
        for run in to_do:
            task = Task(
                folder=str(work / run.name),
                corpus=str(texts[run.recipe.corpus]),
                settings=run.recipe.values,
                keep_model=keep_models,
            )
            running[workers.train(task, functools.partial(epochs.__setitem__, run.name))] = run
        while running:
            for end in wait(running, _SECONDS_BETWEEN_EVENTS, FIRST_COMPLETED).done:
                run, reply = running.pop(end), end.result()
                # A run that diverged, failed or stopped early has no more epochs to wait for.
                epochs[run.name] = run.recipe.training.epochs
                # An error in the settings or on the disk, which other runs would meet, too: it ends the sweep.
                if "error" in reply:
                    raise CharloomError(f"{run.name}: {reply['error']}")
                if "failed" in reply:
                    failures[run.name] = reply["failed"]
                    _emit(listeners, RunFailed(run.name, reply["failed"]))
                else:
                    _emit(listeners, RunEnded(folder.add_run(run)))
            _emit(listeners, SweepProgressed(sum(epochs.values()) / num_epochs))


def _emit(listeners: Sequence[SweepListener], event: SweepEvent) -> None:
    for listener in listeners:
        listener(event)


def _load_corpora(source: Source, planned: Sequence[PlannedRun]) -> dict[CorpusSettings, Corpus]:
    """Returns the text as read with each of the corpus settings of the runs."""
    kinds = dict.fromkeys(run.recipe.corpus for run in planned)
    if isinstance(source, Corpus):
        if len(kinds) > 1:
            raise SettingsError("a Corpus has already been read: to vary how it is read, pass its source instead")
        for settings in kinds:
            check_corpus_settings(source, settings)
        return dict.fromkeys(kinds, source)
    # A path is wrapped before the test for standard input: a str is a sequence of its characters.
    sources = [source] if isinstance(source, PATH) else source or []
    if len(kinds) > 1 and STANDARD_INPUT in sources:
        raise SettingsError("standard input can be read only once: to vary how the text is read, pass a file")
    return {settings: load_corpus(source, **vars(settings)) for settings in kinds}


def _device(run: PlannedRun, corpus: Corpus, varied: Sequence[str]) -> torch.device:
    """Returns the device of a run. Raises SettingsError if the run is not possible with the text."""
    with add_combination_to_errors({name: run.recipe.values[name] for name in varied}):
        check_run(run.recipe.training, len(corpus.ids))
        return find_device(run.recipe.training.device)


def _count_cores() -> int:
    # A container or taskset may allow fewer cores than the machine has; not all systems report that.
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
