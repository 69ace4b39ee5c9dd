"""The transform between a series and the models' scale, and its inverse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import InputError, SeriesError
from charloom.forecasting.transforms import Scale, make_scale
from charloom.settings.forecasting import Transform

_LISTS = st.lists(st.floats(0.01, 1e6), min_size=2, max_size=30).filter(lambda values: max(values) > 1.01 * min(values))


@given(_LISTS, st.sampled_from(["none", "log"]), st.integers(-300, 270))
def test_values_round_trip_through_mean_zero_and_unit_spread(
    numbers: list[float], transform: Transform, power: int
) -> None:
    values = np.array(numbers) * 10.0**power
    scale = make_scale(values, transform, 1, "real")
    unit = scale.to_unit(values)
    assert unit.mean() == pytest.approx(0, abs=1e-6)
    assert unit.std() == pytest.approx(1, rel=1e-6)
    assert scale.from_unit(unit) == pytest.approx(values, rel=1e-9, abs=1e-12 * values.max())
    assert scale.transform == transform
    if transform == "log":
        logs = np.log(numbers)
        assert unit == pytest.approx((logs - logs.mean()) / logs.std(), abs=1e-6)


def test_forecasts_stay_on_the_series_side_of_zero_and_finite() -> None:
    extremes = np.array([-1e308, -1e3, 0.0, 1e3, 1e308])
    for values, low, high in (
        ([1.0, 2.0], 0.0, math.inf),
        ([-1.5, -2.0], -math.inf, 0.0),
        ([-1.0, 1.0], -math.inf, math.inf),
    ):
        for transform in ("none", "log") if low == 0 else ("none",):
            found = make_scale(np.array(values), transform, 1, "auto").from_unit(extremes)
            assert np.isfinite(found).all()
            assert low <= found.min() <= found.max() <= high
            assert not np.signbit(found[found == 0]).any()


def test_integers_stay_integers_and_their_bounds_include_those_between() -> None:
    scale = make_scale(np.array([1.0, 4.0, 2.0]), "none", 1, "auto")
    assert (scale.is_integer, scale.sign) == (True, 1)
    assert scale.round_values(np.array([0.4, 0.6, 2.0])).tolist() == [0, 1, 2]
    low, high = scale.round_bounds(np.array([0.5, 0.6, 1.4]), np.array([2.5, 2.4, 1.6]))
    assert (low.tolist(), high.tolist()) == ([0, 1, 1], [3, 2, 2])
    real = make_scale(np.array([1.0, 4.0, 2.0]), "none", 1, "real")
    assert (real.is_integer, real.sign) == (False, 0)
    assert real.round_values(np.array([0.4])).tolist() == [0.4]
    assert not make_scale(np.array([1.0, 2.5]), "none", 1, "auto").is_integer


def test_logarithms_are_taken_if_swings_grow_with_the_level() -> None:
    random = np.random.default_rng(0)
    level = np.exp(np.linspace(0, 4, 200))
    growing = level * np.exp(random.normal(0, 0.1, 200))
    assert make_scale(growing, "auto", 1, "auto").transform == "log"
    assert make_scale(-growing, "auto", 1, "auto").transform == "none"
    assert make_scale(level + random.normal(0, 0.1, 200) + 1, "auto", 1, "auto").transform == "none"
    assert make_scale(growing[:20], "auto", 1, "auto").transform == "none", "too short for a decision"


def test_a_constant_series_is_exactly_zero() -> None:
    for value in (0.0, 0.1, -3e-310):
        values = np.full(7, value)
        scale = make_scale(values, "auto", 1, "auto")
        assert not scale.to_unit(values).any()
        assert (scale.from_unit(np.zeros(2)) == value).all()


def test_values_outside_the_scale_are_refused() -> None:
    scale = Scale("log", 0, 0.0, 1.0)
    with pytest.raises(SeriesError, match="not positive; fit with transform='none'"):
        scale.to_unit(np.array([1.0, 0.0]))
    with pytest.raises(InputError, match=r"a value of 1e\+300 is too far from the fitted series"):
        Scale("none", 0, 0.0, 1.0).to_unit(np.array([1.0, 1e300]))
    with pytest.raises(SeriesError, match="transform='log' requires positive values"):
        make_scale(np.array([1.0, 0.0]), "log", 1, "auto")
