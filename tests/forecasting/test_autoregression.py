"""Forecasts of linear autoregressions against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.errors import InputError
from charloom.forecasting.autoregression import (
    Linear,
    check_origins,
    compute_error_stds,
    compute_responses,
    compute_step_weights,
    forecast_each,
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
    coefficients, intercepts = compute_step_weights(
        np.stack([model.coefficients for model in models]), np.array([model.intercept for model in models]), steps
    )
    assert coefficients.shape == (4, 3, order)
    found = coefficients @ values[::-1] + intercepts
    for number, model in enumerate(models):
        expected = np.array(_reference_forecast(list(values), model, 9))[steps - 1]
        assert found[:, number] == pytest.approx(expected)


@given(st.integers(1, 6), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_each_origin_has_a_model_of_its_own(order: int, horizon: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    models = [Linear(random.uniform(-1, 1, order) / order, float(random.normal())) for _ in range(3)]
    values = random.normal(size=order + 5)
    origins = np.array([order + 5, order, order + 2])
    found = forecast_each(models, values, origins, horizon)
    for row, model, origin in zip(found, models, origins, strict=True):
        assert row == pytest.approx(_reference_forecast(list(values[:origin]), model, horizon))


@given(st.integers(1, 6), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_a_response_is_the_effect_of_one_error(order: int, horizon: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    models = [Linear(random.uniform(-1, 1, order) / order, 0.0) for _ in range(2)]
    for found, model in zip(compute_responses(models, horizon), models, strict=True):
        assert found == pytest.approx([1.0, *_reference_forecast([0.0] * order + [1.0], model, horizon - 1)])


def test_the_spread_of_errors_includes_that_of_an_estimated_intercept() -> None:
    """Source: for an AR(1) with coefficient a, the variance two steps ahead is 1 + a^2."""
    models = [Linear(np.array([0.5]), 0.0), Linear(np.array([-0.8]), 0.0)]
    known, estimated = (compute_error_stds(models, 2, number) for number in (None, np.array([10.0, 20.0])))
    assert known**2 == pytest.approx(np.array([[1, 1.25], [1, 1.64]]))
    assert estimated**2 == pytest.approx(known**2 + np.array([[0.1, 1.5**2 / 10], [1 / 20, 0.2**2 / 20]]))


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
        assert forecast_each([model], values, np.array([2]), 3000)[0, -1] == 1e100
        assert np.isfinite(compute_responses([model], 3000)).all()
        assert np.isfinite(compute_error_stds([model], 3000, None)).all()
