"""The recipe ``auto``: when the speed is measured, what is kept, and what is described."""

import dataclasses
from typing import Any

import pytest

import charloom
from charloom import load_recipe
from charloom.runs import fitting
from charloom.runs.budget import operations_per_token
from charloom.runs.fitting import fit_recipe
from charloom.settings.recipes import AUTO
from charloom.training.processes import Processes

_PAGE = "It was the best of times, it was the worst of times. "


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the measurements by rates of a fast machine; records what was measured."""
    calls: list[str] = []

    def rate(*_: Any) -> float:
        calls.append("rate")
        return 2e12

    def precision(*_: Any) -> tuple[str, float]:
        calls.append("precision")
        return "bfloat16", 2e12

    monkeypatch.setattr(fitting, "measure_rate", rate)
    monkeypatch.setattr(fitting, "find_fastest_precision", precision)
    return calls


def _fit(length: int, processes: Processes | None = None, **given: Any) -> charloom.Recipe:
    corpus = charloom.corpus_from((_PAGE * (length // len(_PAGE) + 1))[:length])
    return fit_recipe(corpus, load_recipe(AUTO).with_changes(given), processes=processes)


@pytest.mark.parametrize("name", ["section", "own-text"])
def test_other_recipes_are_returned_as_they_are(name: str, measured: list[str]) -> None:
    recipe = load_recipe(name)
    assert fit_recipe(charloom.corpus_from(_PAGE), recipe) is recipe
    assert not measured


def test_without_a_limit_only_the_precision_depends_on_the_machine(
    measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = _fit(150_000)
    assert measured == ["precision"]
    assert fast.training.precision == "bfloat16"
    assert fast.training.minutes is None
    monkeypatch.setattr(fitting, "find_fastest_precision", lambda *_: ("float32", 1e9))
    slow = _fit(150_000)
    assert slow == dataclasses.replace(fast, training=dataclasses.replace(fast.training, precision="float32"))
    assert "150000 tokens" in fast.reasons.replace(",", "")
    assert ", about " in fast.reasons


def test_a_limit_is_filled_as_far_as_the_machine_allows(measured: list[str]) -> None:
    recipe = _fit(10**6, minutes=0.25)
    assert measured == ["precision", "rate", "rate"]
    assert recipe.training.minutes == 0.25
    # Twice the epochs that are expected, because the clock ends the run.
    expected = 0.93 * 15 * 2e12 / operations_per_token(recipe.model, 20) / (0.99 * 10**6)
    assert expected < 10
    assert recipe.training.epochs == pytest.approx(2 * expected, rel=0.1)
    assert "in 0.25 min" in recipe.reasons


@pytest.mark.usefixtures("measured")
def test_a_text_too_long_for_one_epoch_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "default_seconds", lambda _: 0.01)
    recipe = _fit(200_000)
    assert recipe.training.minutes == 30
    assert "in 30 min" in recipe.reasons


def test_given_settings_are_kept_and_remain_marked(measured: list[str]) -> None:
    recipe = _fit(100_000, hidden_size=40, precision="float32", minutes=1, epochs=3)
    assert (recipe.model.hidden_size, recipe.training.precision, recipe.training.epochs) == (40, "float32", 3)
    assert recipe.given == {"hidden_size", "precision", "minutes", "epochs"}
    assert "precision" not in measured


@pytest.mark.usefixtures("measured")
def test_settings_that_were_replaced_directly_are_given_too() -> None:
    recipe = load_recipe(AUTO)
    changed = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, hidden_size=41, cell="gru"))
    model = fit_recipe(charloom.corpus_from(_PAGE * 100), changed).model
    assert (model.hidden_size, model.cell) == (41, "gru")


@pytest.mark.usefixtures("measured")
def test_a_fitted_recipe_is_fixed() -> None:
    fitted = _fit(3_000)
    assert fit_recipe(charloom.corpus_from(_PAGE * 3000), fitted) is fitted


def test_several_processes_measure_nothing(measured: list[str]) -> None:
    """Each would find another rate, and train another model."""
    recipe = _fit(100_000, Processes(rank=1, size=3), minutes=1)
    assert not measured
    assert recipe.training.batch_size % 3 == 0


@pytest.mark.usefixtures("measured")
def test_a_short_text_is_trained_on_as_a_whole() -> None:
    recipe = _fit(2_000)
    assert recipe.training.validation_fraction == 0
    assert "nothing held out" in recipe.reasons
    assert "held out" not in _fit(2_000, validation_fraction=0.0).reasons
