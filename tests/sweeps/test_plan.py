"""The runs of a sweep: no PyTorch, no processes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import Recipe, SettingsError
from charloom.sweeps.plan import (
    check_combinations,
    grid,
    plan_runs,
    settings_key,
    without_display,
)

_BASE = Recipe()


def test_the_grid_is_the_product() -> None:
    found = grid({"hidden-size": [1, 2], "dropout": [0.0, 0.1, 0.2]})
    assert len(found) == 6
    assert found[0] == {"hidden_size": 1, "dropout": 0.0}
    assert {tuple(one.items()) for one in found} == {
        (("hidden_size", size), ("dropout", share)) for size in (1, 2) for share in (0.0, 0.1, 0.2)
    }
    assert grid({}) == [{}]
    with pytest.raises(SettingsError, match="at least one combination"):
        check_combinations([])
    assert check_combinations([{"hidden-size": 1}, {"dropout": 0.5}]) == [{"hidden_size": 1}, {"dropout": 0.5}]


def test_every_combination_with_every_seed_once() -> None:
    """Seed by seed, so that early results include all combinations; duplicates are one run."""
    runs = plan_runs(_BASE, grid({"hidden_size": [8, 16, 8]}), range(2))
    assert [(run.recipe.model.hidden_size, run.recipe.training.seed) for run in runs] == [
        (8, 0),
        (16, 0),
        (8, 1),
        (16, 1),
    ]
    assert len({run.name for run in runs}) == len({settings_key(run.recipe) for run in runs}) == 4
    assert runs[0].name.startswith("hidden_size=8,seed=0-")


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"hiden_size": [1]}, "did you mean hidden_size"),
        ({"nonsense": [1]}, "no setting 'nonsense'; the settings are unit"),
        ({"seed": [1, 2]}, "use num_seeds to train"),
        ({"report_every": [1]}, "does not affect the trained weights"),
        ({"dropout": []}, "a list of at least one value"),
        ({"cell": "gru"}, "a list of at least one value"),
        ({"hidden-size": [1], "hidden_size": [2]}, "hidden_size appears twice"),
    ],
)
def test_settings_that_cannot_be_varied(vary: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        grid(vary)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"hidden_size": [8, 0]}, "hidden_size is 0: it must be an integer"),
        ({"dropout": [0.5, 2]}, "dropout is 2: it must be at least 0 and less than 1"),
        ({"cell": ["rnn", "cnn"]}, "cell is 'cnn': choose one of"),
        (
            {"tied_output": [True], "embedding_size": [8]},
            r"tied_output requires .* \(in the combination tied_output=True, em",
        ),
        ({"patience": [3]}, "set validation_fraction"),
    ],
)
def test_every_value_is_validated_before_any_run(vary: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_runs(_BASE, grid(vary), [0])


def _settings(name: str) -> st.SearchStrategy[Any]:
    return {
        "hidden_size": st.integers(1, 4),
        "dropout": st.sampled_from([0, 0.0, 0.5]),
        "cell": st.sampled_from(["rnn", "gru"]),
        "learning_rate": st.sampled_from([1, 1.0, 2, 2.0]),
        "max_chars": st.sampled_from([None, 10]),
        "seed": st.integers(0, 2),
    }[name]


_CHANGES = st.fixed_dictionaries(
    {}, optional={n: _settings(n) for n in ("hidden_size", "dropout", "cell", "learning_rate", "max_chars", "seed")}
)


@given(_CHANGES, _CHANGES)
def test_a_key_depends_on_settings_only(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal settings have one key, 2 and 2.0 are equal, and a round trip through JSON changes none."""
    first, second = _BASE.with_changes(one), _BASE.with_changes(other)
    assert (settings_key(first) == settings_key(second)) == (first == second)
    assert Recipe().with_changes(json.loads(json.dumps(first.values))) == first
    assert all(first.values[name] == value for name, value in one.items())


def test_settings_of_the_output_make_no_other_run() -> None:
    """The number of threads is fixed, so that results do not depend on the number of processes."""
    shown = _BASE.with_changes({"prefix": ("a",), "report_every": 3, "sample_every": 7, "sample_chars": 9})
    assert without_display(shown) == without_display(_BASE)
    assert without_display(shown).training.sample_every == 0
    assert without_display(_BASE).training.threads == 1
    assert without_display(_BASE.with_changes({"threads": 2})).training.threads == 2


def test_names_of_folders_are_short_and_plain() -> None:
    (run,) = plan_runs(_BASE, [{"device": "cuda:1/../x" + "y" * 300}], [0])
    assert "/" not in run.name
    assert ":" not in run.name
    assert len(run.name) < 130
