"""Widths of intervals: quantiles of errors, and on series whose truth is known."""

import numpy as np
import pytest

from charloom import SettingsError, forecasting
from charloom.forecasting.intervals import calibrate


def test_an_interval_is_as_wide_as_its_share_of_errors_demands() -> None:
    random = np.random.default_rng(0)
    errors = [random.normal(0, scale, 20_000) for scale in (1.0, 1.0, 3.0)]
    calibration = calibrate(errors)
    for level, normal in ((0.5, 0.674), (0.8, 1.282), (0.95, 1.960), (0.99, 2.576)):
        widths = calibration.half_width(level, 5)
        assert widths == pytest.approx(normal * np.array([1, 1, 3, 3, 3]), rel=0.05)
    with pytest.raises(SettingsError, match="level is 1"):
        calibration.half_width(1.0, 3)


def test_few_errors_make_wide_intervals() -> None:
    """Of four errors the largest is as much as an interval of 80 % can take: the fifth may be anywhere in between."""
    calibration = calibrate([np.array([-1.0, 2.0, -3.0, 4.0])])
    assert calibration.half_width(0.79, 1) == pytest.approx(4, abs=0.2)
    assert calibration.half_width(0.95, 1) == pytest.approx(4)
    assert calibration.half_width(0.2, 1) < 2


def test_a_step_without_errors_is_as_the_one_before() -> None:
    calibration = calibrate([np.array([1.0]), np.zeros(0), np.zeros(0), np.zeros(0)])
    assert calibration.half_width(0.5, 4) == pytest.approx(np.ones(4))
    assert calibrate([np.zeros(0)]).half_width(0.8, 1) == pytest.approx(1.28, rel=0.01)


def test_coverage_of_a_process_whose_distribution_is_known() -> None:
    """AR(1) with normal noise: the true spread of k steps is known, and intervals come close to it."""
    random = np.random.default_rng(3)
    values = np.zeros(700)
    for t in range(1, len(values)):
        values[t] = 0.8 * values[t - 1] + random.normal()
    settings = forecasting.ForecastSettings(horizon=8, epochs=3, members=5)
    report = forecasting.backtest(values, settings, held_out=300, levels=(0.5, 0.8, 0.95))
    for level, shares in report.coverage.items():
        assert shares == pytest.approx(np.full(8, level), abs=0.08)
    low, high = report.forecaster.forecast().interval(0.8)
    true_spread = np.sqrt(np.cumsum(0.64 ** np.arange(8)))
    assert (high - low) / 2 / 1.2816 == pytest.approx(true_spread, rel=0.15)
