"""Errors on the held-out points, against loops; the choice of those points."""

from dataclasses import replace

import numpy as np
import pytest

from charloom import SeriesError, SettingsError, forecasting
from charloom.forecasting import ForecastSettings, backtest
from charloom.forecasting.backtest import default_held_out

_QUICK = ForecastSettings(horizon=5, members=3, epochs=2, hidden_size=4, context=8, num_paths=40)


def test_the_best_model_of_the_backtest() -> None:
    """Rare changes of level are forecast best by the last value; a named model is used."""
    stairs = np.repeat([3.0, 4.0, 6.0, 7.0, 2.0], [19, 7, 23, 12, 14])
    report = backtest(stairs, _QUICK)
    assert report.best.name == min(report.scores, key=report.mean_log_error) or report.best is report.forecaster
    assert report.best.method in ("naive", "drift")
    assert set(report.scores) == {"network", "naive", "mean", "drift", "AR(4)"}
    named = backtest(stairs, replace(_QUICK, method="mean"))
    assert named.best.method == named.forecaster.method == "mean"
    assert min(named.scores, key=named.mean_log_error) != "mean"
    assert "network" not in named.scores


def test_every_model_of_a_backtest_has_a_unique_name() -> None:
    values = np.random.default_rng(0).normal(size=40).cumsum()
    naive, seasonal = forecasting.Naive(), forecasting.SeasonalNaive(4)
    found = backtest(values, replace(_QUICK, method="mean"), baselines=[naive, seasonal])
    assert list(found.scores) == ["mean", "naive", "seasonal naive (4)"]
    for model, baselines in (("naive", [naive]), ("mean", [naive, seasonal, naive])):
        with pytest.raises(SettingsError, match="baselines contain two models named 'naive'"):
            backtest(values, replace(_QUICK, method=model), baselines=baselines)  # type: ignore[arg-type]
    with pytest.raises(SeriesError, match=r"seasonal naive \(35\) needs 35 points to fit, but there are only 32"):
        backtest(values, replace(_QUICK, method="naive"), baselines=[forecasting.SeasonalNaive(35)])


def test_errors_equal_those_of_a_loop() -> None:
    """The naive forecast, from every origin of the held-out part, up to the end of the series."""
    values = np.random.default_rng(2).normal(size=50).cumsum() * 1e150  # squares exceed the range of floats
    report = backtest(values, replace(_QUICK, method="naive", season=4, domain="real"), held_out=10)
    unit = np.mean([abs(values[i] - values[i - 4]) for i in range(4, 40)])
    found = report.scores["naive"]
    for step in range(5):
        errors = [(values[origin + step] - values[origin - 1]) / 1e150 for origin in range(40, 50 - step)]
        assert report.num_forecasts[step] == len(errors)
        assert found.rmse[step] == pytest.approx(np.sqrt(np.mean(np.square(errors))) * 1e150)
        assert found.mae[step] == pytest.approx(np.mean(np.abs(errors)) * 1e150)
        assert found.mase[step] == pytest.approx(np.mean(np.abs(errors)) * 1e150 / unit)
    low, high = report.forecaster.forecast_from(values, np.arange(40, 46), num_paths=100).interval(0.8)
    true = np.array([values[origin : origin + 5] for origin in range(40, 46)])
    assert report.coverage[0.8][4] == np.mean((low <= true) & (true <= high), 0)[4]


def test_fitting_does_not_read_held_out_points() -> None:
    values = np.random.default_rng(0).normal(size=40).cumsum()
    changed = np.append(values[:30], 50 + values[30:])
    plain, other = (backtest(v, replace(_QUICK, method="mean"), held_out=10).forecaster for v in (values, changed))
    assert (plain.forecast().mean == other.forecast().mean).all()


def test_number_of_held_out_points() -> None:
    assert [default_held_out(length, 24) for length in (100, 120, 200)] == [24, 24, 40]
    settings = replace(_QUICK, method="naive")
    assert backtest(np.arange(50.0), settings).num_fitted == 40
    assert backtest(np.arange(50.0), settings, held_out=7).num_fitted == 43
    with pytest.raises(SettingsError, match="held_out is 4: it must be at least the horizon, 5"):
        backtest(np.arange(50.0), settings, held_out=4)
    with pytest.raises(SeriesError, match="lower held_out to 46 or less"):
        backtest(np.arange(50.0), settings, held_out=47)
    with pytest.raises(SeriesError, match=r"fitting needs 4; lower held_out and the horizon$"):
        backtest(np.arange(50.0), settings, horizon=60, held_out=60)
    with pytest.raises(SeriesError, match=r"fitting needs 4; lower the horizon$"):  # the default is lowered with it
        backtest(np.arange(50.0), settings, horizon=60)
