"""The rule that chooses settings: bounds, monotony, and the settings that are given."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import ModelSettings, load_recipe
from charloom.runs.budget import (
    Budget,
    choose_settings,
    default_seconds,
    num_recurrent_weights,
    operations_per_token,
)
from charloom.settings.recipes import AUTO
from charloom.text.batching import check_length
from charloom.training.run_checks import compute_training_length

_BUDGETS = st.builds(
    Budget,
    num_tokens=st.integers(2, 10**8),
    vocabulary_size=st.integers(2, 5000),
    seconds=st.floats(0.1, 1e5),
    rate=st.floats(1e8, 1e14),
)


def _choose(budget: Budget, *, timed: bool = True, **values: Any) -> Any:
    recipe = load_recipe(AUTO).with_changes(values)
    return recipe.with_changes(choose_settings(budget, recipe, set(values), timed=timed))


@settings(max_examples=200)
@given(budget=_BUDGETS, timed=st.booleans())
def test_every_text_can_be_trained_with_the_chosen_settings(budget: Budget, timed: bool) -> None:
    """Also one of two characters; the settings themselves are validated by their classes."""
    recipe = _choose(budget, timed=timed)
    training = recipe.training
    check_length(compute_training_length(budget.num_tokens, training), training.batch_size, training.num_steps)
    assert budget.num_tokens * training.validation_fraction <= 200_001


_GIVEN: dict[str, Any] = {
    "hidden_size": st.integers(1, 3000),
    "embedding_size": st.integers(1, 300),
    "num_layers": st.integers(1, 4),
    "cell": st.sampled_from(["rnn", "gru", "lstm"]),
    "dropout": st.floats(0, 0.9),
    "batch_size": st.integers(1, 64),
    "num_steps": st.integers(1, 128),
    "epochs": st.integers(1, 500),
    "learning_rate": st.floats(1e-5, 1.0),
    "weight_decay": st.floats(0, 1.0),
    "validation_fraction": st.floats(0, 0.5),
    "optimizer": st.sampled_from(["sgd", "adamw"]),
    "report_every": st.integers(1, 9),
}


@settings(max_examples=200)
@given(data=st.data(), budget=_BUDGETS, timed=st.booleans())
def test_given_settings_are_kept(data: st.DataObject, budget: Budget, timed: bool) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(_GIVEN)), max_size=6))
    values = {name: data.draw(_GIVEN[name], label=name) for name in sorted(names)}
    chosen = _choose(budget, timed=timed, **values).values
    assert {name: chosen[name] for name in values} == values


def test_the_sizes_of_a_tied_output_are_kept() -> None:
    recipe = load_recipe(AUTO).with_changes({"embedding_size": 192, "hidden_size": 192, "tied_output": True})
    chosen = choose_settings(Budget(10**6, 60, 60.0), recipe, {"tied_output"}, timed=True)
    assert (chosen["embedding_size"], chosen["hidden_size"]) == (192, 192)


@given(budget=_BUDGETS, factor=st.floats(1.0, 100.0))
def test_more_time_or_a_faster_machine_never_gives_a_smaller_model(budget: Budget, factor: float) -> None:
    longer = Budget(budget.num_tokens, budget.vocabulary_size, budget.seconds * factor, budget.rate)
    faster = Budget(budget.num_tokens, budget.vocabulary_size, budget.seconds, budget.rate * factor)
    sizes = [_choose(each).model.hidden_size for each in (budget, longer, faster)]
    assert sizes[0] <= sizes[1]
    assert sizes[0] <= sizes[2]


def test_a_text_is_regularized_more_the_more_often_it_is_repeated() -> None:
    values = [_choose(Budget(length, 60, 180.0)).values for length in (10**8, 10**6, 10**5)]
    assert values[0]["dropout"] == 0
    assert values[0]["dropout"] < values[1]["dropout"] < values[2]["dropout"]


def test_minibatches_grow_with_the_number_of_tokens() -> None:
    """From 512 tokens, for a short time, to 3,072; between, there are 5,000 optimizer steps."""
    sizes = []
    for seconds in (1, 10, 30, 100, 300, 1000, 3000, 10_000):
        budget = Budget(10**6, 60, float(seconds))
        recipe = _choose(budget, timed=False)
        size = recipe.training.batch_size * recipe.training.num_steps
        steps = recipe.training.epochs * 10**6 / size
        assert size in (512, 3072) or steps == pytest.approx(5000, rel=0.5)
        sizes.append(size)
        assert recipe.training.num_steps >= 64  # small minibatches have fewer sequences, not shorter ones
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (512, 3072)


def test_a_longer_text_has_fewer_epochs_however_long_the_time() -> None:
    lengths = (10**3, 10**4, 160_000, 10**6, 10**9)
    epochs = [_choose(Budget(length, 60, 1e6)).training.epochs for length in lengths]
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[2], epochs[-1]) == (60, 30, 10)
    assert 10 < epochs[3] < 30


def test_weight_decay_grows_with_the_text_within_bounds() -> None:
    values = [_choose(Budget(length, 60, 60.0)).training.weight_decay for length in (10**3, 500_000, 10**8)]
    assert values == [0.05, 0.1, 0.2]
    assert _choose(Budget(10**6, 60, 60.0), optimizer="sgd").training.weight_decay is None


@pytest.mark.parametrize(
    ("length", "held_out"),
    [(2_000, 0), (99_000, 0), (101_000, 0.01), (300_000, 0.01), (600_000, 0.005), (10**6, 0.005), (10**8, 0.002)],
)
def test_short_texts_are_trained_on_as_a_whole(length: int, held_out: float) -> None:
    assert _choose(Budget(length, 60, 180.0)).training.validation_fraction == pytest.approx(held_out)


def test_more_epochs_than_the_time_allows_change_nothing_else() -> None:
    """The clock ends the run: warm-up and regularization must suit the epochs that it leaves."""
    free, limited = _choose(Budget(10**6, 60, 60.0)).values, _choose(Budget(10**6, 60, 60.0), epochs=10**5).values
    assert limited.pop("epochs") == 10**5
    assert {name: value for name, value in free.items() if name != "epochs"} == limited


@pytest.mark.parametrize(("changes", "held_out"), [({}, 0), ({"patience": 2}, 0.1), ({"keep_best": True}, 0.1)])
def test_validation_that_is_asked_for_has_a_text(changes: dict[str, Any], held_out: float) -> None:
    assert _choose(Budget(3000, 60, 60.0), **changes).training.validation_fraction == held_out


def test_the_best_weights_are_kept_if_a_text_is_held_out() -> None:
    long = Budget(200_000, 60, 60.0)
    assert _choose(long).training.keep_best
    assert not _choose(Budget(2_000, 60, 60.0)).training.keep_best
    assert not _choose(long, keep_best=False).training.keep_best
    assert not _choose(long, validation_fraction=0.0).training.keep_best
    assert _choose(long, patience=3).training.keep_best is None  # with patience, the best weights are kept anyway


def test_sgd_has_a_rate_of_its_own() -> None:
    assert _choose(Budget(3000, 60, 60.0), optimizer="sgd").training.learning_rate == 1.0


def test_operations_are_those_of_the_products() -> None:
    """By hand: six for each weight that is multiplied; one-hot input selects columns instead."""
    embedded = ModelSettings(cell="lstm", hidden_size=10, num_layers=2, embedding_size=3)
    assert num_recurrent_weights(embedded, 50) == 4 * 10 * (3 + 10) + 4 * 10 * (10 + 10)
    assert operations_per_token(embedded, 50) == 6 * (num_recurrent_weights(embedded, 50) + 10 * 50)
    one_hot = ModelSettings(cell="gru", hidden_size=10)
    assert num_recurrent_weights(one_hot, 50) == 3 * 10 * (50 + 10)
    assert operations_per_token(one_hot, 50) == 6 * (3 * 10 * 10 + 10 * 50)


def test_the_default_time_grows_with_the_text_within_bounds() -> None:
    times = [default_seconds(length) for length in (1, 10**4, 10**6, 10**7, 10**9)]
    assert times == sorted(times)
    assert times[0] == times[1] == 10
    assert times[-1] == 1800
