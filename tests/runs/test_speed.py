"""The measurement of training speed: what it changes (nothing) and what it counts."""

import pytest
import torch

from charloom import ModelSettings, TrainingSettings, Vocabulary
from charloom.recurrence.backend import backend
from charloom.runs import speed
from charloom.runs.budget import operations_per_token
from charloom.runs.speed import find_fastest_precision, measure_rate

_VOCABULARY = Vocabulary.of_text("some words")
_MODEL = ModelSettings(cell="lstm", hidden_size=8, embedding_size=4)
_TRAINING = TrainingSettings(batch_size=2, num_steps=5, optimizer="adamw", device="cpu")


def test_nothing_of_the_caller_is_changed() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert measure_rate(_VOCABULARY, _MODEL, _TRAINING, 0.0) > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_rate_is_the_work_of_all_steps_over_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that advances by a second at each look: two steps are made in three seconds."""
    ticks = iter(range(100))
    monkeypatch.setattr("charloom.runs.speed.time.perf_counter", lambda: float(next(ticks)))
    rate = measure_rate(_VOCABULARY, _MODEL, _TRAINING, 2.0)
    # Looks after those of the warm-up: the start, before the second step, before the third, and the end.
    assert rate == 2 * 2 * 5 * operations_per_token(_MODEL, len(_VOCABULARY)) / 3


def test_one_slow_step_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr("charloom.runs.speed.time.perf_counter", lambda: float(next(ticks)))
    rate = measure_rate(_VOCABULARY, _MODEL, _TRAINING, 2.0)
    assert rate == 2 * 5 * operations_per_token(_MODEL, len(_VOCABULARY)) / 10
    assert next(ticks) == 20


@pytest.mark.parametrize(("gain", "expected"), [(0.5, "float32"), (1.1, "float32"), (1.3, "bfloat16")])
def test_bfloat16_must_be_clearly_faster(gain: float, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        speed, "measure_rate", lambda _, __, settings, *___: gain if settings.precision == "bfloat16" else 1.0
    )
    found = find_fastest_precision(_VOCABULARY, _MODEL, _TRAINING, 1.0)
    assert found == (expected, gain if expected == "bfloat16" else 1.0)


@pytest.mark.skipif(backend().name == "reference", reason="the reference backend computes in float32 only")
def test_both_precisions_can_be_measured() -> None:
    precision, rate = find_fastest_precision(_VOCABULARY, _MODEL, _TRAINING, 0.0)
    assert precision in ("float32", "bfloat16")
    assert rate > 0
