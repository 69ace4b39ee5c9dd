"""Widths of intervals: quantiles of errors, and coverage on series whose distribution is known."""

from typing import Any

import numpy as np
import pytest

from charloom import SettingsError, forecasting
from charloom.forecasting.intervals import calibrate, interpolate_half_width


def test_an_interval_covers_its_share_of_errors() -> None:
    """The errors are independent. Errors half as many steps ahead count too, so that the change to 3 is a slope."""
    errors = np.random.default_rng(0).normal(0, [1.0] * 40 + [3.0] * 40, (20_000, 80))
    half_widths = calibrate(errors)
    for level, normal in ((0.5, 0.674), (0.8, 1.282), (0.95, 1.960), (0.99, 2.576)):
        widths = interpolate_half_width(half_widths, level, 100)
        assert widths[:5] == pytest.approx(np.full(5, normal), rel=0.05)
        assert widths[99] == widths[79]
        assert widths[79] > 2 * widths[0]
        assert (widths[1:] / widths[:-1]).max() < 1.1
    assert interpolate_half_width(half_widths, 0.9999, 1) > interpolate_half_width(half_widths, 0.9998, 1)


@pytest.mark.parametrize("level", [1.0, 0.99991, 0, -0.5, 95, True, "0.5", None, np.nan, [0.5], 10**30])
def test_invalid_levels(level: Any) -> None:
    with pytest.raises(
        SettingsError, match=r"level( is |=).*: it must be above 0 and at most 0\.9999, for example 0\.95"
    ):
        interpolate_half_width(calibrate(np.ones((3, 1))), level, 3)


def test_few_errors_give_wide_intervals() -> None:
    random = np.random.default_rng(0)
    few = np.mean([interpolate_half_width(calibrate(random.normal(size=(5, 1))), 0.95, 1)[0] for _ in range(300)])
    many = np.mean([interpolate_half_width(calibrate(random.normal(size=(500, 1))), 0.95, 1)[0] for _ in range(10)])
    assert many == pytest.approx(1.96, rel=0.1)
    assert few > 1.25 * many


def test_intervals_of_few_errors_have_their_coverage() -> None:
    """Coverage of a new error, on the mean over many samples."""
    random = np.random.default_rng(0)
    samples = [random.normal(size=(6, 1)) for _ in range(400)]
    for level in (0.8, 0.95):
        widths = [interpolate_half_width(calibrate(sample), level, 1)[0] for sample in samples]
        held = np.mean(np.abs(random.normal(size=400)) <= widths)
        assert level - 0.06 < held < level + 0.6 * (1 - level)


def test_a_step_without_errors_has_its_neighbors_width() -> None:
    errors = np.full((30, 4), np.nan)
    errors[:, 0] = np.random.default_rng(0).normal(size=30)
    widths = interpolate_half_width(calibrate(errors), 0.5, 4)
    assert widths == pytest.approx(np.full(4, widths[0]))
    nothing = calibrate(np.full((3, 1), np.nan))
    assert interpolate_half_width(nothing, 0.8, 1) == pytest.approx(
        1.886, rel=0.01
    )  # Student's t with two degrees of freedom


def test_a_single_large_error_makes_no_jump() -> None:
    """A price list that changes once: all errors are zero except those across the change."""
    changes = np.r_[np.full(40, 9.99), np.full(20, 12.49)]
    for horizon in (6, 24):
        low, high = forecasting.fit(changes, _quick(horizon)).forecast().interval(0.95)
        widths = high - low
        assert (widths > 0).all()
        assert widths.max() < 20
        assert (widths[1:] / widths[:-1]).max() < 2.6


def _quick(horizon: int) -> forecasting.ForecastSettings:
    return forecasting.ForecastSettings(horizon=horizon, members=3, epochs=2, hidden_size=8, context=8)


def test_coverage_of_a_process_whose_distribution_is_known() -> None:
    """AR(1) with normal noise: the true spread of k steps is known, and intervals approximate it."""
    random = np.random.default_rng(3)
    values = np.zeros(700)
    for t in range(1, len(values)):
        values[t] = 0.8 * values[t - 1] + random.normal()
    settings = forecasting.ForecastSettings(horizon=8, epochs=3, members=5, method="network")
    report = forecasting.backtest(values, settings, held_out=300, levels=(0.5, 0.8, 0.95))
    for level, shares in report.coverage.items():
        assert shares == pytest.approx(np.full(8, level), abs=0.1)
    low, high = report.forecaster.forecast().interval(0.8)
    true_spread = np.sqrt(np.cumsum(0.64 ** np.arange(8)))
    assert (high - low) / 2 / 1.2816 == pytest.approx(true_spread, rel=0.2)
