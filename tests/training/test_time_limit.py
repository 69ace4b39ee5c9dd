"""Training within a time limit, on a clock that advances by one second per step."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charloom
from charloom import CheckpointFolder, History, ModelSettings, SettingsError, TrainingSettings
from charloom.training import trainer
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import newest_checkpoint
from charloom.training.checkpoints.resumption import describe_end
from charloom.training.events import Event, StepEnded, StopTraining
from charloom.training.time_limit import TimeLimit

_CORPUS = charloom.corpus_from("a fox saw a crow and a dog\n" * 40)
_SETTINGS = TrainingSettings(
    batch_size=4, num_steps=6, epochs=10, schedule="cosine", validation_fraction=0.1, sample_every=0, device="cpu"
)
_STEPS_PER_EPOCH = 40


def _train(
    monkeypatch: pytest.MonkeyPatch,
    minutes: float | None,
    *,
    stop_after: int = 0,
    folder: Path | None = None,
    resume: Checkpoint | None = None,
    **changes: Any,
) -> tuple[charloom.LanguageModel, History, list[StepEnded]]:
    """Trains by a clock that advances at each reading: about once a step."""
    clock = itertools.count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    model = charloom.build_model(_CORPUS.vocabulary, ModelSettings(hidden_size=8, init_sigma=0), seed=0)
    steps: list[StepEnded] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepEnded):
            steps.append(event)
            if len(steps) == stop_after:
                raise StopTraining

    history = charloom.train(
        resume.make_model() if resume else model,
        _CORPUS,
        replace(_SETTINGS, minutes=minutes, **changes),
        listeners=[listen],
        checkpoints=CheckpointFolder(folder) if folder else None,
        resume=resume,
    )
    return model, history, steps


def test_the_run_ends_at_the_limit_with_a_learning_rate_near_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    _, history, steps = _train(monkeypatch, 1)
    assert 40 < len(steps) <= 60
    assert [record.reached_time_limit for record in history] == [False, True]
    assert history[-1].validation_perplexity is not None
    assert 50 < history[-1].seconds <= 60
    rates = [step.learning_rate for step in steps]
    highest = rates.index(max(rates))
    assert 1 <= highest <= 6  # warm-up
    assert rates[:highest] == sorted(rates[:highest])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-1] < 0.01 * max(rates)
    assert steps[-1].run_fraction == 1.0
    assert [step.run_fraction for step in steps] == sorted(step.run_fraction for step in steps)


def test_a_limit_within_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text has one incomplete epoch; the warm-up does not depend on the length of an epoch."""
    _, history, steps = _train(monkeypatch, 0.5)
    assert len(history) == 1
    assert history.reached_time_limit
    assert len(steps) < _STEPS_PER_EPOCH
    assert steps[-1].learning_rate < 0.01 * max(step.learning_rate for step in steps)


def test_a_limit_that_is_not_reached_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, *_ = _train(monkeypatch, None, epochs=2, schedule="constant")
    limited, history, _ = _train(monkeypatch, 1000, epochs=2, schedule="constant")
    assert len(history) == 2
    assert not history.reached_time_limit
    for name, weight in model.state_dict().items():
        assert weight.equal(limited.state_dict()[name])


def test_a_resumed_run_keeps_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, whole, all_steps = _train(monkeypatch, 1.5)
    _, _, before = _train(monkeypatch, 1.5, stop_after=30, folder=tmp_path)
    checkpoint = newest_checkpoint(tmp_path)
    assert describe_end(checkpoint, checkpoint.settings) is None
    _, history, after = _train(monkeypatch, 1.5, folder=tmp_path, resume=checkpoint)
    assert len(before) + len(after) == pytest.approx(len(all_steps), abs=4)
    assert after[0].learning_rate == pytest.approx(all_steps[30].learning_rate, rel=0.1)
    assert history.reached_time_limit
    assert len(history) == len(whole)
    ended = newest_checkpoint(tmp_path)
    assert ended.history.reached_time_limit
    reason = describe_end(ended, ended.settings)
    assert reason is not None
    assert str(reason[0]).startswith("the run ended at its time limit")
    _, same, nothing = _train(monkeypatch, 1.5, folder=tmp_path, resume=ended)
    assert not nothing
    assert same == history


def test_the_limit_of_a_resumed_run_cannot_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _train(monkeypatch, 1.5, stop_after=30, folder=tmp_path)
    checkpoint = newest_checkpoint(tmp_path)
    for minutes in (None, 2.0):
        with pytest.raises(SettingsError, match=r"the run was started with minutes=1\.5"):
            _train(monkeypatch, minutes, resume=checkpoint)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_limit_that_is_not_a_positive_number_is_refused(minutes: Any) -> None:
    with pytest.raises(SettingsError, match="minutes"):
        TrainingSettings(minutes=minutes)


def test_the_end_of_the_run_has_its_share_of_the_time() -> None:
    limit = TimeLimit(TrainingSettings(minutes=1), num_validation_ids=3000)
    # 1.5% and 1.5 s for saving, and 10 s for a validation at three times the speed of training.
    assert limit.compute_share(60 * 0.985 - 1.5 - 10, 100.0) == pytest.approx(1.0)
    limit.validation_seconds = 1.0
    assert limit.compute_share(60 * 0.985 - 1.5 - 1, 100.0) == pytest.approx(1.0)
    # A wrong estimate after a slow first step must not end the run.
    assert TimeLimit(TrainingSettings(minutes=1), 10**9).compute_share(15.0, 1.0) == 0.5
    assert TimeLimit(TrainingSettings(), 10**9).compute_share(15.0, 1.0) == 0.0
