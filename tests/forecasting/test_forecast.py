"""Intervals of a forecast with known widths."""

import numpy as np
import pytest

from charloom import SettingsError
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.intervals import LEVELS
from charloom.forecasting.transforms import Scale


def _forecast(center: list[float], spread: list[float], *, sign: int = 0, is_integer: bool = False) -> Forecast:
    """Returns a forecast whose half widths equal the spreads at every level."""
    scale = Scale("none", 0, 0.0, 1.0, sign, is_integer)
    mean = scale.round_values(scale.from_unit(np.array(center)))
    return Forecast(mean, np.array(center), np.array(spread), np.ones((1, len(LEVELS))), scale)


def test_bounds_are_rounded_with_halves_outward() -> None:
    low, high = _forecast([2.0, 2.0, 2.0], [0.4, 0.5, 0.6], is_integer=True).interval()
    assert (low.tolist(), high.tolist()) == ([2.0, 1.0, 1.0], [2.0, 3.0, 3.0])


def test_an_interval_contains_the_mean() -> None:
    """Also if rounding or clipping moves the mean."""
    forecast = _forecast([0.5, 1.5], [0.0, 0.0], is_integer=True)
    low, high = forecast.interval()
    assert (low <= forecast.mean).all()
    assert (high >= forecast.mean).all()
    low, high = _forecast([-3.0], [1.0], sign=1).interval()
    assert (low[0], high[0]) == (0.0, 0.0)


def test_widths_do_not_decrease() -> None:
    low, high = _forecast([0.0, 0.0, 0.0], [1.0, 3.0, 2.0]).interval()
    assert (high - low).tolist() == [2.0, 5.0, 5.0]


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, "0.9", None])
def test_levels_out_of_range_are_refused(level: float) -> None:
    with pytest.raises(SettingsError, match="level is"):
        _forecast([0.0], [1.0]).interval(level)
