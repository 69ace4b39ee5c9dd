"""The number of points that a model needs, the points that it is fitted to, and the advice if they are too few."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import CharloomWarning, SeriesError, SettingsError, forecasting
from charloom.forecasting import ForecastSettings
from charloom.forecasting.fitting import MAX_POINTS, check_length, fit_all, min_points, replace_horizon
from charloom.forecasting.series import Series
from charloom.settings.forecasting import Method
from noisy_seasons import SETTINGS, noisy_seasons


@pytest.mark.parametrize("model", ["auto", "network"])
@pytest.mark.parametrize("length", [1, 3, 4, 5, 12, 23, 24, 25, 31])
def test_hint_for_a_short_series_helps(length: int, model: Method) -> None:
    """A shorter horizon is advised if there is one that fits, another model if that one fits."""
    settings = replace(SETTINGS, horizon=40, method=model)
    for attempt, left in ((forecasting.fit, length), (forecasting.backtest, length - 1)):
        if attempt is forecasting.fit and left >= min_points(40, model):
            continue
        with pytest.raises(SeriesError, match="too few") as caught:
            attempt(noisy_seasons(150)[:length], settings)
        assert ("lower the horizon" in str(caught.value)) == (left >= min_points(1, model))
        if left >= min_points(1, "auto"):
            assert "lower the horizon" in str(caught.value) or "pass method='auto'" in str(caught.value)


@given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 60), st.sampled_from(["auto", "naive", "network"]))
def test_the_advice_for_held_out_points_suffices(length: int, horizon: int, held_out: int, model: Method) -> None:
    """With the advised number held out the same series is long enough; one more is refused."""
    settings = ForecastSettings(horizon=horizon, method=model)
    most = length - min_points(horizon, model)
    if held_out <= most:
        check_length(length, settings, held_out)
        return
    with pytest.raises(SeriesError, match="too few") as caught:
        check_length(length, settings, held_out)
    advised = held_out > 0 and most >= horizon
    assert (f"lower held_out to {most} or less" in str(caught.value)) == advised
    if advised:
        check_length(length, settings, most)


def test_only_the_last_points_are_fitted() -> None:
    values = np.append(np.full(50, 1e9), np.tile([1.0, 2.0], MAX_POINTS // 2))
    settings = ForecastSettings(horizon=2, method="mean", season=1, domain="real")
    with pytest.warns(CharloomWarning, match="10,050 points: only the last 10,000 are used for fitting"):
        found = forecasting.fit(values, settings)
    assert found.forecast().mean == pytest.approx([1.5, 1.5])


def test_the_named_model_comes_first_and_the_others_only_to_be_compared() -> None:
    series, settings = Series(noisy_seasons(40)), replace(SETTINGS, method="drift", season=1)
    assert [one.method for one in fit_all(series, settings, None)] == ["drift"]
    assert len(fit_all(series, replace(settings, method="auto"), None)) == 1
    assert [one.method for one in fit_all(series, settings, None, compared=True)] == ["drift", "naive", "mean", "ar"]


def test_a_constant_series_is_repeated_or_refused() -> None:
    series = Series(np.full(30, 2.5))
    for model in ("auto", "mean"):
        assert [one.method for one in fit_all(series, replace(SETTINGS, method=model), None)] == ["naive"]
    with pytest.raises(
        SeriesError, match="method is 'ar': all 30 values are the same; pass method='auto' to repeat them"
    ):
        fit_all(series, replace(SETTINGS, method="ar"), None)


def test_a_season_must_be_seen_twice() -> None:
    plain = replace(SETTINGS, method="seasonal-naive")
    assert forecasting.fit(noisy_seasons(40), replace(plain, season=20)).season == 20
    with pytest.raises(
        SettingsError,
        match=r"season is 21: the 40 points to fit to are fewer than two seasons; pass a shorter season \(at most 20\)",
    ):
        forecasting.fit(noisy_seasons(40), replace(plain, season=21))


def test_another_horizon_keeps_the_other_settings() -> None:
    assert replace_horizon(None, None) == ForecastSettings()
    assert replace_horizon(SETTINGS, None) is SETTINGS
    assert replace_horizon(SETTINGS, 9) == replace(SETTINGS, horizon=9)
