"""Sweeps by processes, forked if the test is not about them (``forked_workers``)."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import charloom
from charloom import (
    CorpusSettings,
    History,
    LanguageModel,
    ModelFolderError,
    ModelSettings,
    Recipe,
    SettingsError,
    TrainingSettings,
    build_model,
    load_corpus,
    train,
)
from charloom.sweeps.events import RunEnded, RunFailed, SweepProgressed, SweepStarted
from charloom.sweeps.results import SweepResults
from charloom.training.events import StopTraining
from forked_workers import ForkedWorker, workers_forked

_RECIPE = Recipe(
    CorpusSettings(),
    ModelSettings(cell="gru", hidden_size=8),
    TrainingSettings(batch_size=4, num_steps=10, epochs=3, learning_rate=0.5, validation_fraction=0.1, device="cpu"),
)
_VARY: dict[str, list[Any]] = {"hidden_size": [4, 8], "dropout": [0.0, 0.5]}


def sweep(*arguments: Any, **options: Any) -> SweepResults:
    """Runs a sweep in one process, if the number does not matter."""
    return charloom.sweep(*arguments, **{"jobs": 1} | options)


@pytest.fixture
def file(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(text[:2000], encoding="utf-8")
    return path


def _figures(results: SweepResults) -> dict[str, Any]:
    """Returns all results without times, by run."""
    return {
        json.dumps([run.recipe.model.hidden_size, run.recipe.model.dropout, run.recipe.training.seed]): [
            (record.perplexity, record.validation_perplexity) for record in run.history
        ]
        for run in results.runs
    }


def _single_run(file: Path, **changes: Any) -> tuple[LanguageModel, History]:
    """Trains the same run in this process."""
    recipe = _RECIPE.with_changes({"threads": 1, **changes})
    corpus = load_corpus(file, **vars(recipe.corpus))
    model = build_model(corpus.vocabulary, recipe.model, seed=recipe.training.seed)
    return model, train(model, corpus, recipe.training)


def test_runs_equal_trainings_for_any_number_of_processes(file: Path, tmp_path: Path) -> None:
    """The workers of two are started as a user's are."""
    with workers_forked():
        one = sweep(file, _VARY, _RECIPE, num_seeds=2, jobs=1, output=tmp_path / "one")
    two = charloom.sweep(file, _VARY, _RECIPE, num_seeds=2, jobs=2)
    assert len(one.runs) == 8
    assert _figures(one) == _figures(two)
    _, history = _single_run(file, hidden_size=4, dropout=0.5, seed=1)
    (run,) = [run for run in one.find(hidden_size=4, dropout=0.5).runs if run.recipe.training.seed == 1]
    assert [record.perplexity for record in run.history] == [record.perplexity for record in history]
    assert run.validation_perplexity == history[-1].validation_perplexity
    assert all(run.folder is None for run in two.runs)
    assert sorted(entry.name for entry in (tmp_path / "one").iterdir()) == [
        "results.csv",
        "results.jsonl",
        "runs",
        "sweep.json",
        "sweep.png",
    ]
    assert (tmp_path / "one" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "one" / "results.jsonl").read_text().splitlines()) == 8


@pytest.mark.usefixtures("forked_workers")
def test_more_values_and_seeds_keep_finished_runs(file: Path, tmp_path: Path) -> None:
    """Also if a fixed setting is varied."""
    started: list[SweepStarted] = []

    def listen(event: Any) -> None:
        if isinstance(event, SweepStarted):
            started.append(event)

    def run_again(vary: dict[str, list[Any]], seeds: int = 1) -> SweepResults:
        return sweep(file, vary, _RECIPE, num_seeds=seeds, output=tmp_path / "out", listeners=[listen])

    first = run_again({"hidden_size": [4, 8]})
    times = {run.folder: run.seconds for run in first.runs}
    assert len(run_again({"hidden_size": [4, 8]}).runs) == 2
    assert len(run_again({"hidden_size": [4, 16]}, seeds=2).runs) == 5
    last = run_again({"hidden_size": [4], "dropout": [0, 0.5]})
    assert [(event.num_done, event.num_to_do) for event in started] == [(0, 2), (2, 0), (2, 3), (5, 1)]
    assert {run.folder: run.seconds for run in last.runs if run.folder in times} == times
    assert last.varied == ("hidden_size", "dropout")
    assert sorted(tuple(one.values.values()) for one in last.combinations()) == [
        (4, 0.0),
        (4, 0.5),
        (8, 0.0),
        (16, 0.0),
    ]


@pytest.mark.usefixtures("forked_workers")
def test_a_list_of_combinations_and_settings_of_the_text(file: Path) -> None:
    combinations = [{"max_chars": 500, "epochs": 1}, {"max_chars": 1500, "learning_rate": 0.1}]
    results = sweep(file, combinations, _RECIPE)
    assert results.varied == ("max_chars", "epochs", "learning_rate")
    found = {run.recipe.corpus.max_chars: run for run in results.runs}
    assert (len(found[500].history), len(found[1500].history)) == (1, 3)
    _, history = _single_run(file, max_chars=1500, learning_rate=0.1)
    assert found[1500].perplexity == history[-1].perplexity


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("unit", ["char", "byte"])
def test_a_loaded_corpus(unit: Any, file: Path) -> None:
    corpus = load_corpus(file, unit=unit, lowercase=True)
    results = sweep(corpus, [{}], _RECIPE.with_changes({"unit": unit}))
    assert results.varied == ()
    (run,) = results.runs
    _, history = _single_run(file, unit=unit, lowercase=True)
    assert run.perplexity == history[-1].perplexity
    with pytest.raises(SettingsError, match="pass its source instead"):
        sweep(corpus, {"max_chars": [500, 600]}, _RECIPE)


@pytest.mark.usefixtures("forked_workers")
def test_a_stopped_sweep_resumes(file: Path, tmp_path: Path) -> None:
    undisturbed = sweep(file, _VARY, _RECIPE)
    ended: list[RunEnded] = []

    def stop(event: Any) -> None:
        if isinstance(event, RunEnded):
            ended.append(event)
            raise StopTraining

    stopped = sweep(file, _VARY, _RECIPE, output=tmp_path / "out", listeners=[stop])
    assert (len(stopped.runs), stopped.num_missing) == (1, 3)
    assert not (tmp_path / "out" / ".work").exists()
    again = sweep(file, _VARY, _RECIPE, output=tmp_path / "out")
    assert (len(again.runs), again.num_missing) == (4, 0)
    assert _figures(again) == _figures(undisturbed)
    assert ended[0].run in again.runs


@pytest.mark.usefixtures("forked_workers")
def test_a_diverging_run_is_recorded_and_stops_nothing(file: Path, tmp_path: Path) -> None:
    """Steps of 1e30 exceed the range of float32. A repetition would diverge again: the run counts as finished."""
    vary = {"learning_rate": [1e30, 0.5]}
    recipe = _RECIPE.with_changes({"optimizer": "adamw", "epochs": 2})
    results = sweep(file, vary, recipe, num_seeds=2, output=tmp_path / "out")
    good, bad = results.combinations()
    assert (good.values["learning_rate"], good.num_diverged) == (0.5, 0)
    assert (len(bad.runs), bad.num_diverged) == (2, 2)
    assert "lower learning_rate" in bad.runs[0].message
    assert results.num_missing == 0
    events: list[Any] = []
    again = sweep(file, vary, recipe, num_seeds=2, output=tmp_path / "out", listeners=[events.append])
    assert events == [SweepStarted(4, 0, 0, 1)]
    assert again.combinations() == results.combinations()


@pytest.mark.usefixtures("forked_workers")
def test_models_are_kept_if_asked(file: Path, tmp_path: Path) -> None:
    """Also for runs that were finished without a model."""
    vary = {"hidden_size": [4, 8]}
    without = sweep(file, vary, _RECIPE, output=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("model.safetensors"))
    results = sweep(file, vary, _RECIPE, output=tmp_path / "out", keep_models=True)
    assert _figures(results) == _figures(without)
    for run in results.runs:
        assert run.folder is not None
        loaded = LanguageModel.load(run.folder)
        plain, _ = _single_run(file, hidden_size=run.recipe.model.hidden_size)
        assert torch.equal(loaded.output.weight, plain.output.weight)
        assert (run.folder / "codec.safetensors").exists()
    events: list[Any] = []
    sweep(file, vary, _RECIPE, output=tmp_path / "out", keep_models=True, listeners=[events.append])
    assert events == [SweepStarted(2, 0, 0, 1)]


@pytest.mark.usefixtures("forked_workers")
def test_a_run_that_is_done_again_takes_the_place_of_the_first(file: Path, tmp_path: Path) -> None:
    """Whatever else is varied by now, and its folder would be called."""
    sweep(file, {"hidden_size": [4]}, _RECIPE, output=tmp_path / "out")
    vary = {"hidden_size": [4], "learning_rate": [_RECIPE.training.learning_rate]}
    sweep(file, vary, _RECIPE, output=tmp_path / "out", keep_models=True)
    events: list[Any] = []
    sweep(file, vary, _RECIPE, output=tmp_path / "out", keep_models=True, listeners=[events.append])
    assert events == [SweepStarted(1, 0, 0, 1)]


@pytest.mark.usefixtures("forked_workers")
def test_two_sweeps_do_not_meet_in_a_folder(file: Path, tmp_path: Path) -> None:
    errors: list[ModelFolderError] = []

    def try_another(event: Any) -> None:
        if isinstance(event, SweepStarted):
            with pytest.raises(ModelFolderError, match="another sweep is using this folder") as error:
                sweep(file, [{}], _RECIPE, output=tmp_path / "out")
            errors.append(error.value)

    assert len(sweep(file, [{}], _RECIPE, output=tmp_path / "out", listeners=[try_another]).runs) == 1
    assert len(errors) == 1


def test_exceptions_of_a_listener_pass_and_processes_end(
    file: Path, tmp_path: Path, forked_workers: list[ForkedWorker]
) -> None:
    def fail(event: Any) -> None:
        if isinstance(event, SweepProgressed):
            assert all(worker.poll() is None for worker in forked_workers)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        sweep(file, _VARY, _RECIPE.with_changes({"epochs": 1000}), jobs=2, output=tmp_path / "out", listeners=[fail])
    assert len(forked_workers) == 2
    for worker in forked_workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)
    assert not (tmp_path / "out" / ".work").exists()


def test_a_full_disk_is_an_error_and_no_crash(small_disk: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"(?i)no space left"):
        sweep(charloom.corpus_from("a text of many words, " * 30_000), [{}], _RECIPE, output=small_disk / "out")


def _stop(_: Any) -> None:
    raise StopTraining


@pytest.mark.parametrize(
    ("how", "setting"),
    [
        ({"unit": "byte"}, "unit"),
        ({"lowercase": False}, "lowercase"),
        ({"collapse_whitespace": True}, "collapse_whitespace"),
        ({"max_chars": 1999}, "max_chars"),
    ],
)
def test_other_settings_of_a_loaded_corpus_are_refused(how: dict[str, Any], setting: str, file: Path) -> None:
    """Neither the recipe nor the varied settings may have others: they would be recorded, without effect."""
    corpus = load_corpus(file, lowercase=True)
    for vary, recipe in (({}, _RECIPE.with_changes(how)), ({name: [value] for name, value in how.items()}, _RECIPE)):
        with pytest.raises(SettingsError, match=r"the .*corpus") as caught:
            sweep(corpus, vary, recipe)
        assert caught.value.setting == setting
    for fits in ({"lowercase": True, "max_chars": 2000}, {"collapse_whitespace": False}):
        assert sweep(corpus, {}, _RECIPE.with_changes(fits), listeners=[_stop]).num_missing == 1


def test_a_process_that_dies_fails_its_run_only(file: Path, tmp_path: Path, forked_workers: list[ForkedWorker]) -> None:
    """Killed as by a system out of memory; the others continue, and the next sweep repeats it."""
    recipe = _RECIPE.with_changes({"epochs": 60})
    events: list[Any] = []

    def kill_the_first(event: Any) -> None:
        events.append(event)
        if (
            isinstance(event, SweepProgressed)
            and event.fraction > 0
            and not any(isinstance(e, RunFailed) for e in events)
        ):
            os.kill(forked_workers[-1].pid, signal.SIGKILL)

    vary = {"hidden_size": [4, 8, 16]}
    results = sweep(file, vary, recipe, jobs=1, output=tmp_path / "out", listeners=[kill_the_first])
    (failed,) = [event for event in events if isinstance(event, RunFailed)]
    assert "out of memory?" in failed.message
    assert results.failures == {failed.name: failed.message}
    assert (len(results.runs), results.num_missing) == (2, 1)
    again = sweep(file, {"hidden_size": [4, 8, 16]}, recipe, output=tmp_path / "out")
    assert (len(again.runs), again.failures) == (3, {})
