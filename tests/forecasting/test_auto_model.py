"""The model for StatsForecast: the results of its methods, and the calls that StatsForecast makes."""

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charloom.errors import InputError, SettingsError
from charloom.forecasting import AutoCharloom, ForecastSettings, fit

_VALUES = np.tile([1.5, 4.0, 2.0, 8.0], 12) + np.random.default_rng(0).normal(0, 0.1, 48)
_QUICK = ForecastSettings(horizon=3, method="seasonal-naive")


def test_fit_and_predict() -> None:
    """The forecast and the intervals are those of ``fit``; levels are percentages."""
    model = AutoCharloom(4, _QUICK)
    assert model.fit(_VALUES) is model
    expected = fit(_VALUES, replace(_QUICK, season=4)).forecast(5)
    found = model.predict(5, level=[95, 80])
    assert [*found] == ["mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert (found["mean"] == expected.mean).all()
    for level in (80, 95):
        low, high = expected.interval(level / 100)
        assert (found[f"lo-{level}"] == low).all()
        assert (found[f"hi-{level}"] == high).all()
    assert [*model.predict(h=2)] == ["mean"]
    assert [*model.predict(2, level=())] == ["mean"]
    assert [*model.predict(2, level=[90, 97.5])] == ["mean", "lo-90", "hi-90", "lo-97.5", "hi-97.5"]


def test_forecast_fits_for_its_horizon_and_keeps_the_model() -> None:
    model = AutoCharloom(settings=replace(_QUICK, method="drift"))
    expected = fit(_VALUES, replace(_QUICK, method="drift"), horizon=7).forecast()
    found = model.forecast(y=_VALUES, h=7, X=None, X_future=None, level=[80], fitted=False)
    assert (found["mean"] == expected.mean).all()
    assert (found["lo-80"] == expected.interval(0.8)[0]).all()
    with pytest.raises(InputError, match="charloom is not fitted; call fit first"):
        model.predict(3)


def test_in_sample_predictions() -> None:
    """Each is made from the values before it; the first ones, which have too few, are NaN."""
    model = AutoCharloom(4, _QUICK).fit(_VALUES)
    found = model.predict_in_sample(level=[80])
    assert [*found] == ["fitted", "fitted-lo-80", "fitted-hi-80"]
    for values in found.values():
        assert values.shape == _VALUES.shape
        assert np.isnan(values).tolist() == [True] * 4 + [False] * 44
    for one in (found, model.forecast(_VALUES, 3, fitted=True)):
        assert one["fitted"][4:] == pytest.approx(_VALUES[:-4])
    assert np.mean((found["fitted-lo-80"] <= _VALUES) & (found["fitted-hi-80"] >= _VALUES)) > 0.6


def test_forward_uses_the_fitted_model() -> None:
    model = AutoCharloom(4, _QUICK).fit(_VALUES)
    later = np.append(_VALUES, [7.0, 6.0])
    found = model.forward(later, 4, level=[80], fitted=True)
    assert found["mean"] == pytest.approx(later[-4:])
    assert found["fitted"].shape == later.shape
    assert model.forecaster.series.values.tolist() == _VALUES.tolist()
    shortest = model.forward(later[:4], 1, fitted=True)
    assert np.isnan(shortest["fitted"]).all()


def test_the_network_as_a_model() -> None:
    quick = ForecastSettings(horizon=2, method="network", members=2, epochs=1, hidden_size=4, context=8, num_paths=40)
    model = AutoCharloom(settings=quick).fit(_VALUES)
    found = model.predict_in_sample([80])
    assert np.isfinite(found["fitted"][model.forecaster.min_points :]).all()
    assert np.sqrt(np.nanmean((found["fitted"] - _VALUES) ** 2)) < 1


def test_new_returns_an_independent_copy() -> None:
    model = AutoCharloom(4, _QUICK, alias="mine")
    copy = model.new().fit(_VALUES)
    assert repr(copy) == copy.alias == "mine"
    assert copy.settings.season == 4
    with pytest.raises(InputError, match="mine is not fitted"):
        model.predict_in_sample()


def test_wrong_arguments() -> None:
    model = AutoCharloom(4, _QUICK).fit(_VALUES)
    more = np.zeros((48, 1))
    calls = (
        lambda: model.fit(_VALUES, more),
        lambda: model.predict(2, more[:2]),
        lambda: model.forecast(_VALUES, 2, X_future=more[:2]),
        lambda: model.forward(_VALUES, 2, X=more),
    )
    for call in calls:
        with pytest.raises(InputError, match="exogenous variables are not supported; pass the series alone"):
            call()
    for level in (0.8, 100, True, "80", None):
        with pytest.raises((SettingsError, InputError), match=r"level( is|=)"):
            model.predict(2, level=[level])  # type: ignore[list-item]
    with pytest.raises(SettingsError, match=r"a percentage from 1 to 99\.99, for example 80"):
        model.predict(2, level=[0.8])
    with pytest.raises(SettingsError, match="horizon is 0"):
        model.predict(0)
    with pytest.raises(SettingsError, match="season is 0"):
        AutoCharloom(0)


def test_signatures_are_those_that_statsforecast_inspects() -> None:
    """It passes ``level`` to methods that have this parameter, and all arguments by name."""
    for name, parameters in {
        "fit": ["self", "y", "X"],
        "predict": ["self", "h", "X", "level"],
        "forecast": ["self", "y", "h", "X", "X_future", "level", "fitted"],
        "forward": ["self", "y", "h", "X", "X_future", "level", "fitted"],
    }.items():
        assert [*inspect.signature(getattr(AutoCharloom, name)).parameters] == parameters
    assert not AutoCharloom.uses_exog


@pytest.mark.filterwarnings("ignore")
def test_statsforecast_runs_it() -> None:
    """If it is installed: two series, intervals, fitted values, cross-validation with and without a new fit."""
    pandas, core = pytest.importorskip("pandas"), pytest.importorskip("statsforecast")
    dates = pandas.date_range("2001-01-31", periods=48, freq="ME")
    frame = pandas.concat(pandas.DataFrame({"unique_id": one, "ds": dates, "y": _VALUES}) for one in "ab")
    models: list[Any] = [AutoCharloom(4, _QUICK), AutoCharloom(4, replace(_QUICK, method="drift"), alias="drift")]
    runner = core.StatsForecast(models=models, freq="ME")
    found = runner.forecast(df=frame, h=3, level=[80], fitted=True)
    names = [f"{model}{end}" for model in ("charloom", "drift") for end in ("", "-lo-80", "-hi-80")]
    assert [*found.columns] == ["unique_id", "ds", *names]
    assert found["charloom"].to_numpy()[3:] == pytest.approx(_VALUES[-4:-1])
    assert runner.forecast_fitted_values().shape == (96, 9)
    assert runner.fit(frame).predict(h=3, level=[80])["charloom"].tolist() == found["charloom"].tolist()
    for refit in (True, False):
        assert len(runner.cross_validation(df=frame, h=3, n_windows=2, refit=refit, level=[80])) == 12
