"""Regularized fits of autoregressions against least squares and loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom.forecasting.regression import AutoregressionSpec, Regression, fit_averages, fit_least_squares


@pytest.mark.parametrize("excluded", [[(20, 40)], [(0, 0)], [(0, 15), (15, 30), (60, 90), (10, 45)]])
def test_an_average_is_that_of_single_fits(excluded: list[tuple[int, int]]) -> None:
    """Specifications that differ in the penalty alone share a decomposition, and blocks share sums of products."""
    values = np.random.default_rng(2).normal(size=90).cumsum()
    weights = {
        AutoregressionSpec(0, 3, 1.0): 0.1,
        AutoregressionSpec(1, 2, 0.1): 0.2,
        AutoregressionSpec(0, 3, 30.0): 0.3,
        AutoregressionSpec(1, 4, 10.0): 0.4,
    }
    for found, block in zip(fit_averages(weights, values, excluded), excluded, strict=True):
        coefficients, intercept = np.zeros(5), 0.0
        for spec, weight in weights.items():
            (single,) = fit_averages({spec: 1.0}, values, [block])
            coefficients[: single.order] += weight * single.coefficients
            intercept += weight * single.intercept
        assert found.coefficients == pytest.approx(coefficients)
        assert found.intercept == pytest.approx(intercept)


@given(st.sampled_from([0, 1, 4]), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_without_a_penalty_a_regression_on_differences_is_least_squares_on_them(
    lag: int, order: int, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=80).cumsum()
    (model,) = fit_averages({AutoregressionSpec(lag, order, 0.0): 1.0}, values, [(0, 0)])
    differences = values[lag:] - values[:-lag] if lag else values
    expected_model = fit_least_squares(differences, order)
    change = expected_model.forecast(differences, np.array([len(differences)]), 1)[0, 0]
    expected = change + (values[-lag] if lag else 0.0)
    assert model.forecast(values, np.array([len(values)]), 1)[0, 0] == pytest.approx(expected)
    if lag:
        assert model.coefficients.sum() == pytest.approx(1)


def test_held_out_targets_have_no_effect() -> None:
    """The mean is far from zero: that of the fitted targets is subtracted, not that of all."""
    values = np.random.default_rng(1).normal(size=100) + 50 * (np.arange(100) // 50)
    excluded = [(50, 60), (0, 2), (60, 200)]
    regression = Regression(values, 0, 3)
    assert regression.count_targets(excluded).tolist() == [87, 97, 57]
    found, intercepts = regression.solve(excluded, [1.0, 5.0])
    for number, (start, end) in enumerate(excluded):
        # Only targets are held out: with an order of 3 the points 50 to 59 are inputs of 60 to 62 still.
        rows = [t for t in range(3, 100) if not start <= t < end]
        inputs = np.array([[values[t - 1], values[t - 2], values[t - 3]] for t in rows]) / values.std()
        targets = values[rows] / values.std()
        centered = inputs - inputs.mean(0)
        power = centered.T @ centered
        for penalty, coefficients, intercept in zip((1.0, 5.0), found[number], intercepts[number], strict=True):
            # p^2 / (p^2 + s^2) of the least-squares solution in each direction.
            penalized = power @ power + penalty**2 * np.eye(3)
            expected = np.linalg.solve(penalized, power @ (centered.T @ (targets - targets.mean())))
            assert coefficients == pytest.approx(expected)
            assert intercept == pytest.approx((targets.mean() - inputs.mean(0) @ expected) * values.std())


def test_the_differences_of_a_season_are_multiplied_out() -> None:
    """x_t - x_{t-2} = 0.5 (x_{t-1} - x_{t-3}) without noise: x_t = 0.5 x_{t-1} + x_{t-2} - 0.5 x_{t-3}."""
    values = np.array([1.0, 2.0, 4.0])
    for _ in range(20):
        values = np.append(values, 0.5 * values[-1] + values[-2] - 0.5 * values[-3])
    coefficients, intercepts = Regression(values, 2, 1).solve([(0, 0)], [0.0])
    assert coefficients[0, 0] == pytest.approx([0.5, 1.0, -0.5])
    assert intercepts[0, 0] == pytest.approx(0.0)
