"""Linear autoregressions against least squares and loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom.errors import InputError
from charloom.forecasting.autoregression import (
    AutoregressionSpec,
    Linear,
    Regression,
    average_models,
    check_origins,
    compute_step_weights,
    fit_average,
    fit_least_squares,
)


def _reference_forecast(values: list[float], model: Linear, horizon: int) -> list[float]:
    """Computes the definition: each step is a sum over the values before it, forecasts among them."""
    known = list(values)
    for _ in range(horizon):
        past = known[::-1][: model.order]
        known.append(model.intercept + sum(c * x for c, x in zip(model.coefficients, past, strict=True)))
    return known[len(values) :]


@given(st.integers(1, 6), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_many_steps_equal_one_step_repeated(order: int, horizon: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    model = Linear(random.uniform(-1, 1, order) / order, float(random.normal()))
    values = random.normal(size=order + 5)
    origins = np.array([order, order + 3, order + 5])
    found = model.forecast(values, origins, horizon)
    for row, origin in zip(found, origins, strict=True):
        assert row == pytest.approx(_reference_forecast(list(values[:origin]), model, horizon))
    assert model.predict_next(values) == pytest.approx(
        [_reference_forecast(list(values[:t]), model, 1)[0] for t in range(order, len(values))]
    )


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_weights_of_several_models_and_steps(order: int, seed: int) -> None:
    """Weights times known values are the forecasts of each model, at the given steps alone."""
    random = np.random.default_rng(seed)
    models = [Linear(random.uniform(-1, 1, order) / order, float(random.normal())) for _ in range(3)]
    values, steps = random.normal(size=order), np.array([1, 2, 4, 9])
    coefficients, intercepts = compute_step_weights(models, steps)
    assert coefficients.shape == (4, 3, order)
    found = coefficients @ values[::-1] + intercepts
    for number, model in enumerate(models):
        expected = np.array(_reference_forecast(list(values), model, 9))[steps - 1]
        assert found[:, number] == pytest.approx(expected)


def test_an_average_is_that_of_single_fits() -> None:
    """Specifications that differ in the penalty alone share a decomposition, whatever their order."""
    values = np.random.default_rng(2).normal(size=90).cumsum()
    weights = {
        AutoregressionSpec(0, 3, 1.0): 0.1,
        AutoregressionSpec(1, 2, 0.1): 0.2,
        AutoregressionSpec(0, 3, 30.0): 0.3,
        AutoregressionSpec(1, 2, 10.0): 0.4,
    }
    found = fit_average(weights, values, (20, 40))
    single = [fit_average({spec: 1.0}, values, (20, 40)) for spec in weights]
    expected = average_models(single, list(weights.values()))
    assert found.coefficients == pytest.approx(expected.coefficients)
    assert found.intercept == pytest.approx(expected.intercept)


@given(st.sampled_from([0, 1, 4]), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_without_a_penalty_a_regression_on_differences_is_least_squares_on_them(
    lag: int, order: int, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=80).cumsum()
    regression = Regression(values, lag, order)
    (model,) = regression.solve(np.ones(len(regression.indices), dtype=bool), (0.0,))
    differences = values[lag:] - values[:-lag] if lag else values
    expected_model = fit_least_squares(differences, order)
    change = expected_model.forecast(differences, np.array([len(differences)]), 1)[0, 0]
    expected = change + (values[-lag] if lag else 0.0)
    assert model.forecast(values, np.array([len(values)]), 1)[0, 0] == pytest.approx(expected)
    if lag:
        assert model.coefficients.sum() == pytest.approx(1)


def test_held_out_targets_have_no_effect() -> None:
    values = np.random.default_rng(1).normal(size=100)
    regression = Regression(values, 0, 3)
    kept = (regression.indices < 50) | (regression.indices >= 60)
    (model,) = regression.solve(kept, (1.0,))
    # Only targets are held out: with an order of 3 the points 50 to 59 are inputs of 60 to 62 still.
    rows = [t for t in range(3, 100) if not 50 <= t < 60]
    inputs = np.array([[values[t - 1], values[t - 2], values[t - 3]] for t in rows]) / values.std()
    targets = values[rows] / values.std()
    centered = inputs - inputs.mean(0)
    power = centered.T @ centered
    # p^2 / (p^2 + s^2) of the least-squares solution in each direction.
    expected = np.linalg.solve(power @ power + np.eye(3), power @ (centered.T @ (targets - targets.mean())))
    assert model.coefficients == pytest.approx(expected)


def test_an_average_forecasts_the_average_of_one_step() -> None:
    models = [Linear(np.array([0.5]), 1.0), Linear(np.array([0.1, 0.2, 0.3]), -1.0)]
    mixed = average_models(models, [0.25, 0.75])
    values = np.array([1.0, -2.0, 3.0])
    single = [model.forecast(values, np.array([3]), 1)[0, 0] for model in models]
    assert mixed.forecast(values, np.array([3]), 1)[0, 0] == pytest.approx(0.25 * single[0] + 0.75 * single[1])


@pytest.mark.parametrize("origins", [[], np.array([], dtype=np.int64), [[3]], [1.5], "3", None])
def test_origins_are_a_list_of_at_least_one_int(origins: object) -> None:
    with pytest.raises(InputError, match="origins must be a non-empty list of integers"):
        check_origins(origins, 2, 5)


def test_messages_about_origins() -> None:
    for origins, message in (
        ([4, 1], "^a forecast needs 2 values before its origin, but origin 1 has only 1$"),
        ([-3, 1], "^origin -3 is negative: an origin is an index of at least 2$"),
        ([6], "^origin 6 is beyond the end of 5 values$"),
    ):
        with pytest.raises(InputError, match=message):
            check_origins(origins, 2, 5)
    with pytest.raises(InputError, match=r"^a forecast needs 1 value before its origin, but origin 0 has only 0$"):
        check_origins([0], 1, 5)


def test_forecasts_of_an_unstable_model_are_finite() -> None:
    """Infinity minus infinity too: the forecast is then very large, and so is its error."""
    values = np.ones(2)
    for coefficients in ([2.0], [3.0, -1.0]):
        model = Linear(np.array(coefficients), 0.0)
        assert model.forecast(values, np.array([2]), 3000)[0, -1] == 1e100
        assert np.isfinite(model.compute_error_std(3000)).all()
