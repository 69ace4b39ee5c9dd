"""A fitted forecaster: reproducible by seed, independent of units; invalid input is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from charloom import InputError, SeriesError, SettingsError, forecasting
from charloom.forecasting import Forecaster, ForecastSettings
from charloom.settings.forecasting import Method
from noisy_seasons import SETTINGS, noisy_seasons


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return forecasting.fit(noisy_seasons(), SETTINGS)


def test_a_seed_decides(forecaster: Forecaster) -> None:
    again = forecasting.fit(noisy_seasons(), SETTINGS)
    assert (again.forecast().mean == forecaster.forecast().mean).all()
    assert (again.forecast().interval(0.9)[0] == forecaster.forecast().interval(0.9)[0]).all()
    other = forecasting.fit(noisy_seasons(), ForecastSettings(**(vars(SETTINGS) | {"seed": 1})))
    # The mean of a linear model's paths does not depend on the seed: their noise comes in pairs that cancel.
    assert (again.sample_paths(20) == forecaster.sample_paths(20)).all()
    assert not (other.sample_paths(20) == forecaster.sample_paths(20)).all()


def test_the_callers_random_state_is_unchanged() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    forecasting.fit(noisy_seasons(60), SETTINGS)
    assert torch.rand(1) == expected


def test_what_comes_after_an_origin_is_not_looked_at(forecaster: Forecaster) -> None:
    values = noisy_seasons(200, seed=1)
    changed = values.copy()
    changed[170:] = 1e6
    one = forecaster.forecast_from(values, [170])
    other = forecaster.forecast_from(changed, [170])
    assert (one.mean == other.mean).all()
    assert one.mean.shape == (1, 6)


@pytest.mark.parametrize(("scale", "level"), [(1e-9, 0.0), (1e9, -3e9), (1.0, 1e5)])
def test_the_unit_does_not_matter(scale: float, level: float) -> None:
    settings = ForecastSettings(**(vars(SETTINGS) | {"transform": "none"}))
    plain, moved = (forecasting.fit(v, settings).forecast() for v in (noisy_seasons(), noisy_seasons() * scale + level))
    for a, b in zip((plain.mean, *plain.interval()), (moved.mean, *moved.interval()), strict=True):
        assert (b - level) / scale == pytest.approx(a, abs=1e-3)


def test_swings_that_grow_with_the_level_are_forecast_in_logarithms() -> None:
    time = np.arange(240)
    random = np.random.default_rng(0)
    growing = np.exp(0.015 * time + 0.3 * np.sin(time * 2 * np.pi / 12) + random.normal(0, 0.05, len(time)))
    found = forecasting.fit(growing, SETTINGS)
    assert (found.scale.transform, found.season) == ("log", 12)
    low, high = found.forecast().interval()
    assert (low > 0).all()
    assert (high - found.forecast().mean > found.forecast().mean - low).all()
    assert forecasting.fit(noisy_seasons(), SETTINGS).scale.transform == "none"
    with pytest.raises(SeriesError, match="transform='log' requires positive values"):
        forecasting.fit(noisy_seasons() - 10, ForecastSettings(horizon=6, transform="log"))


@pytest.mark.parametrize("model", ["network", "ar", "naive"])
def test_a_history_far_from_the_fitted_series_is_refused(model: Method) -> None:
    """Nothing is capped, lost or NaN: a forecast from values that are a billion times larger is as good or refused."""
    values = noisy_seasons()
    fitted = forecasting.fit(values, replace(SETTINGS, method=model, domain="real"))
    for size in 10.0 ** np.arange(0, 300, 3):
        try:
            found = fitted.forecast(history=values * size)
        except InputError:
            assert size > 1e9
            continue
        low, high = found.interval(0.95)
        assert np.isfinite([low, high]).all()
        assert (low < high).all()
        assert np.abs(found.mean / size - 10).max() < 30
    with pytest.raises(InputError, match="too far"):
        fitted.forecast(history=np.append(values, 1e299))


def test_only_what_is_read_must_have_a_logarithm() -> None:
    fitted = forecasting.fit(np.exp(0.1 * noisy_seasons()), replace(SETTINGS, method="ar", transform="log"))
    history = np.exp(0.1 * noisy_seasons(60, seed=1))
    expected = fitted.forecast(history=history)
    history[: -fitted.min_points] = 0.0
    assert (fitted.forecast(history=history).mean == expected.mean).all()
    origins = [20, 40, 60]
    several = fitted.forecast_from(np.exp(0.1 * noisy_seasons(60)), origins)
    for row, origin in zip(several.mean, origins, strict=True):
        assert row == pytest.approx(fitted.forecast(history=np.exp(0.1 * noisy_seasons(60)[:origin])).mean)
    with pytest.raises(SeriesError, match="not positive"):
        fitted.forecast(history=np.append(history, 0.0))


def test_refusals(forecaster: Forecaster) -> None:
    with pytest.raises(
        SeriesError, match="method is 'network': 30 points are too few to forecast 24 steps ahead: fitting needs 56"
    ):
        forecasting.fit(noisy_seasons(30), ForecastSettings(method="network"))
    with pytest.raises(SeriesError, match="3 points are too few to forecast 24 steps ahead: fitting needs 4"):
        forecasting.fit(noisy_seasons(3))
    with pytest.raises(
        SeriesError, match="method is 'network': all 60 values are the same; pass method='auto' to repeat"
    ):
        forecasting.fit(np.full(60, 2.5), SETTINGS)
    with pytest.raises(SeriesError, match="method is 'seasonal-naive': no season was detected"):
        forecasting.fit(np.random.default_rng(0).normal(size=60), ForecastSettings(method="seasonal-naive"))
    with pytest.raises(SeriesError, match=r"the magnitude of value 2 \(1e\+301\) exceeds 1e\+300"):
        forecasting.fit([1.0, 1e301, 2.0, 3.0])
    with pytest.raises(SeriesError, match="value 4 of 60 is missing"):
        forecasting.fit([*range(3), float("nan"), *range(56)])
    with pytest.raises(SeriesError, match="2 dimensions"):
        forecasting.fit(np.zeros((3, 3)))
    with pytest.raises(SeriesError, match="not a sequence of numbers"):
        forecasting.fit(["a", "b"])  # type: ignore[list-item]
    with pytest.raises(SeriesError, match="not a sequence of numbers"):
        forecasting.fit(noisy_seasons().astype(np.complex128))
    with pytest.raises(SettingsError, match="season is 80: the 150 points to fit to are fewer than two seasons"):
        forecasting.fit(noisy_seasons(), ForecastSettings(horizon=6, season=80))
    with pytest.raises(
        InputError, match=f"a forecast needs {forecaster.min_points} values before its origin, but origin"
    ):
        forecaster.forecast(history=noisy_seasons(10))
    with pytest.raises(SettingsError, match="horizon is 0"):
        forecaster.forecast(0)
    with pytest.raises(SettingsError, match="num_paths is 20: it must be at least 21, one for each ensemble member"):
        ForecastSettings(members=21, num_paths=20)
    with pytest.raises(SettingsError, match="num_paths is 3: it must be an integer, at least 4"):
        forecaster.sample_paths(3)


def test_a_wave_without_noise() -> None:
    wave = np.sin(np.arange(200) * 0.3)
    found = forecasting.fit(wave, SETTINGS).forecast()
    truth = np.sin(np.arange(200, 206) * 0.3)
    assert found.mean == pytest.approx(truth, abs=1e-6)
    line = forecasting.backtest(np.arange(1.0, 61.0), SETTINGS, held_out=12)
    assert (line.coverage[0.95] == 1).all()


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_other_cells(cell: str) -> None:
    settings = ForecastSettings(**(vars(SETTINGS) | {"cell": cell}))
    assert np.isfinite(forecasting.fit(noisy_seasons(80), settings).sample_paths(8)).all()
