"""Errors on points that a model was not fitted to, against loops."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charloom.forecasting import ForecastSettings
from charloom.forecasting.autoregression import Linear
from charloom.forecasting.held_out_errors import (
    choose_origins,
    compute_block_errors,
    compute_later_errors,
    estimate_optimism,
    space_evenly,
)
from charloom.forecasting.network import Member, ResidualConfig
from charloom.forecasting.regression import AutoregressionSpec, fit_averages


@given(st.integers(0, 50), st.integers(0, 2000), st.integers(1, 700))
def test_origins_are_evenly_spaced_and_limited_in_number(start: int, length: int, most: int) -> None:
    places = space_evenly(start, start + length, most)
    assert len(places) == length if length <= most else most / 2 <= len(places) <= most
    if length:
        assert places[0] == start
        assert start + length - places[-1] <= (places[1] - places[0] if len(places) > 1 else length)
        assert len(set(np.diff(places).tolist())) <= 1


@example(16_800, 5)  # of which multiples of the golden ratio miss a phase
@given(st.integers(1, 30_000), st.sampled_from([2, 4, 5, 7, 12]))
def test_origins_are_at_all_phases_of_a_season(length: int, season: int) -> None:
    origins = choose_origins(length)
    assert len(origins) <= 300
    assert (np.diff(origins) > 0).all()
    assert 0 <= origins[0] <= origins[-1] < length
    if length <= 300:
        assert origins.tolist() == list(range(length))
    counts = np.bincount(origins % season, minlength=season)
    assert counts.min() >= 0.4 * len(origins) / season - 1


def test_errors_equal_those_of_a_loop() -> None:
    """Each origin is forecast by the model of the points before the last refit."""
    values = np.random.default_rng(0).normal(size=30).cumsum()
    fitted_to: list[int] = []

    def fitted(end: int) -> Linear:
        fitted_to.append(end)
        return Linear(np.zeros(1), float(values[:end].mean()))

    errors, stds = compute_later_errors(fitted, np.array([10, 18]), values, 3, estimated=True)
    assert fitted_to == [10, 18]
    for origin in range(30):
        for step in range(3):
            if origin < 10 or origin + step >= 30:
                assert np.isnan(errors[origin, step])
            else:
                end = 10 if origin < 18 else 18
                assert errors[origin, step] == pytest.approx(values[origin + step] - values[:end].mean())
                assert stds[origin, step] == pytest.approx(math.sqrt(1 + 1 / end))


def test_a_series_that_is_too_short_to_fit_again_has_no_later_errors() -> None:
    def fitted(end: int) -> Linear:
        raise AssertionError(end)

    errors, stds = compute_later_errors(fitted, np.array([], np.int64), np.arange(9.0), 2, estimated=True)
    assert errors.shape == stds.shape == (9, 2)
    assert np.isnan(errors).all()
    assert np.isnan(stds).all()


def test_block_errors_are_those_of_the_member_that_was_not_fitted_to_the_block() -> None:
    values = np.random.default_rng(0).normal(size=20)
    members = [Member(Linear(np.array([0.5]), 1.0), 1.0, None, (0, 10))]
    members += [Member(Linear(np.array([-0.5]), 2.0), 1.0, None, (10, 20))]
    settings = ForecastSettings(horizon=2)
    errors, spreads = compute_block_errors(members, ResidualConfig(3, 1.0, 0.0), values, settings, noise=False)
    assert errors.shape == (20, 2)
    assert np.isnan(errors[:4]).all(), "the context and one lag come first"
    for origin in range(4, 20):
        for step in range(2):
            target = origin + step
            if target >= 20:
                assert np.isnan(errors[origin, step])
                continue
            coefficient, intercept = (0.5, 1.0) if target < 10 else (-0.5, 2.0)
            forecast = values[origin - 1]
            for _ in range(step + 1):
                forecast = coefficient * forecast + intercept
            assert errors[origin, step] == pytest.approx(values[target] - forecast)
            assert spreads[origin, step] == 0


def test_members_without_an_origin_have_no_errors() -> None:
    members = [Member(Linear(np.zeros(8), 0.0), 1.0, None, (0, 5))]
    errors, _ = compute_block_errors(members, ResidualConfig(4, 1.0, 0.0), np.arange(9.0), ForecastSettings(horizon=2))
    assert np.isnan(errors).all()


def test_errors_after_the_fitted_points_are_larger_if_the_level_moves() -> None:
    random = np.random.default_rng(0)
    settings, config = ForecastSettings(horizon=8), ResidualConfig(4, 1.0, 0.0)
    specs = {AutoregressionSpec(0, 2, 1.0): 1.0}
    blocks = [(start, start + 20) for start in range(0, 200, 20)]
    found = []
    for values in (random.normal(size=200), np.arange(200) / 10 + random.normal(size=200)):
        linears = fit_averages(specs, values, blocks)
        members = [Member(linear, 1.0, None, block) for linear, block in zip(linears, blocks, strict=True)]
        found.append(estimate_optimism(members, specs, config, values, settings))
    assert found[0] == pytest.approx(1.0)
    assert (found[1][1:] > 1.0).all()
    assert found[1].max() <= math.sqrt(3.0)
