"""Comparison of models by their errors on points that they were not fitted to."""

import math

import numpy as np
import pytest

from charloom import SeriesError
from charloom.forecasting import Drift, ForecastSettings, Mean, Naive
from charloom.forecasting.candidates import (
    Candidate,
    choose_candidate,
    compute_rmse,
    fit_baseline,
    make_baselines,
    mean_log_error,
    select_best,
)
from charloom.forecasting.network import ResidualConfig
from charloom.forecasting.series import Values
from charloom.settings.forecasting import Method

_NAN = math.nan


def test_unknown_errors_do_not_count() -> None:
    errors = np.array([[3.0, _NAN, _NAN], [4.0, 2.0, _NAN]])
    found = compute_rmse(errors)
    assert found[:2] == pytest.approx([math.sqrt(12.5), 2.0])
    assert np.isnan(found[2])
    assert mean_log_error(np.array([math.e, math.e**3, _NAN])) == pytest.approx(2)
    assert mean_log_error(np.array([1.0, math.e, 99.0, math.e**2, math.e**5])) == pytest.approx(2), "steps 1, 2, 4, 5"
    assert mean_log_error(np.array([0.0]), 1e-3) == pytest.approx(math.log(1e-3))
    assert mean_log_error(np.array([_NAN])) == mean_log_error(np.array([math.inf])) == math.inf


def test_the_first_is_kept_unless_another_is_better_by_enough() -> None:
    assert select_best([1.0, 0.9, 0.95], 0.05) == 1
    assert select_best([1.0, 0.96, 0.97], 0.05) == 0
    assert select_best([1.0], 0.0) == 0


def _candidate(errors: Values) -> Candidate:
    return Candidate("naive", "naive", [], ResidualConfig(0, 1.0, 0.0), errors, errors)


def test_candidates_are_compared_on_the_points_that_all_can_forecast() -> None:
    first, second = np.full((400, 1), 2.0), np.full((400, 1), 1.0)
    candidates = [_candidate(first), _candidate(second)]
    assert choose_candidate(candidates) is candidates[1]
    second[::2] = _NAN
    first[1::2] = 1.0  # better only if the other has no forecast
    candidates = [_candidate(first), _candidate(second)]
    assert choose_candidate(candidates) is candidates[0]


def test_a_small_lead_on_few_points_is_not_significant() -> None:
    for length, chosen in ((5, 0), (500, 1)):  # half a point's share is 10 %, or 0.1 %
        candidates = [_candidate(np.full((length, 1), 1.0)), _candidate(np.full((length, 1), 0.95))]
        assert choose_candidate(candidates) is candidates[chosen]


def test_baselines_that_a_length_allows() -> None:
    settings = ForecastSettings()
    assert list(make_baselines(3, 1, settings)) == ["naive"]
    assert list(make_baselines(8, 4, settings)) == ["seasonal-naive", "naive", "mean", "drift"]
    assert list(make_baselines(24, 4, settings)) == ["seasonal-naive", "seasonal-mean", "naive", "mean", "drift", "ar"]
    assert list(make_baselines(23, 1, settings)) == ["naive", "mean", "drift"]


@pytest.mark.parametrize("method", ["seasonal-naive", "seasonal-mean"])
def test_a_seasonal_method_without_a_season(method: Method) -> None:
    message = f"method is '{method}': no season was detected; pass the season length with season$"
    with pytest.raises(SeriesError, match=message):
        make_baselines(20, 1, ForecastSettings(method=method))
    message = "it requires a season, but season is 1; pass the season length with season, or another method$"
    with pytest.raises(SeriesError, match=message):
        make_baselines(20, 1, ForecastSettings(method=method, season=1))


@pytest.mark.parametrize("given", [None, 9])
def test_a_season_that_is_too_long_for_its_method(given: int | None) -> None:
    """A detected season can only be replaced by a shorter one, as one that was passed."""
    hint = "; pass a shorter season, or another method$"
    message = f"the 20 points to fit to are fewer than three seasons of 9 points{hint}"
    with pytest.raises(SeriesError, match=message):
        make_baselines(20, 9, ForecastSettings(method="seasonal-mean", season=given))
    message = f"the 9 points to fit to are not more than one season of 9 points{hint}"
    with pytest.raises(SeriesError, match=message):
        make_baselines(9, 9, ForecastSettings(method="seasonal-naive", season=given))


def test_a_baseline_is_evaluated_on_points_that_it_was_not_fitted_to() -> None:
    values = np.random.default_rng(0).normal(size=40)
    settings = ForecastSettings(horizon=2)
    for baseline in (Mean(), Drift()):
        found = fit_baseline("mean", baseline, values, settings)
        changed = values.copy()
        changed[30:] += 100
        other = fit_baseline("mean", type(baseline)(), changed, settings)
        assert np.isnan(found.errors[:10]).all(), "the first quarter is fitted to"
        np.testing.assert_array_equal(found.errors[:29], other.errors[:29])
        assert found.members[0].num_fitted == 40
    naive = fit_baseline("naive", Naive(), values, settings)
    assert naive.errors[1:39, 1] == pytest.approx(values[2:] - values[:38])
    assert naive.members[0].spread == pytest.approx(np.sqrt(np.mean(np.diff(values) ** 2)))
    assert naive.spreads[5] == pytest.approx(naive.members[0].spread * np.sqrt([1, 2]))
