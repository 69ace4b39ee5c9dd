"""Forecasts and backtests in a notebook, and as data frames."""

import numpy as np
import pytest

from charloom.forecasting import Backtest, backtest
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.intervals import LEVELS
from charloom.forecasting.transforms import Scale
from charloom.settings import ForecastSettings
from html_fragments import cells_of, show, text_of

_SERIES = np.sin(np.arange(80.0)) + np.arange(80.0) / 10


def _forecast(mean: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", spread: float = 1.0) -> Forecast:
    widths = np.ones((mean.shape[-1], len(LEVELS)))
    return Forecast(mean, mean, np.full_like(mean, spread), widths, Scale("none", 0, 0.0, 1.0, 0, False))


@pytest.fixture(scope="module")
def measured() -> Backtest:
    """Returns a backtest of a line with a sine."""
    return backtest(_SERIES, ForecastSettings(horizon=8, method="drift"))


def test_a_forecast_is_drawn_and_listed() -> None:
    html = show(_forecast(np.array([1.0, 20_000.4, -0.25])))
    assert "<svg" in html
    assert "95% interval" in text_of(html)
    rows = cells_of(html)
    assert rows[0] == ["step", "forecast", "95% interval from", "to"]
    assert rows[1:] == [["1", "1", "0", "2"], ["2", "20,000", "19,999", "20,001"], ["3", "-0.25", "-1.25", "0.75"]]


@pytest.mark.parametrize("value", [0.0, 1e-320, 1e99, 1e150, 1e300, -1e300])
@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize("horizon", [1, 200])
def test_any_values_are_shown(value: float, spread: float, horizon: int) -> None:
    html = show(_forecast(np.full(horizon, value), spread))
    assert ("<svg" in html) == (abs(value) < 1e100)
    assert len(cells_of(html)) == min(horizon, 50) + 1


def test_forecasts_from_several_origins_are_a_table(measured: Backtest) -> None:
    forecast = measured.forecaster.forecast_from(_SERIES, [50, 60], 8)
    assert cells_of(show(forecast))[0] == ["origin", "step 1", "step 2", "step 3", "step 5", "step 8"]
    frame = forecast.to_frame()
    assert list(frame.columns) == ["origin", "step", "mean", "lower", "upper"]
    assert frame["origin"].tolist() == [0] * 8 + [1] * 8
    assert frame["step"].tolist() == [*range(1, 9)] * 2
    assert frame["mean"].tolist() == forecast.mean.ravel().tolist()


def test_the_frame_of_a_forecast(measured: Backtest) -> None:
    forecast = measured.forecaster.forecast()
    frame = forecast.to_frame(level=0.5)
    assert list(frame.columns) == ["step", "mean", "lower", "upper"]
    assert frame["step"].tolist() == [*range(1, 9)]
    assert frame["upper"].tolist() == forecast.interval(0.5)[1].tolist()


def test_a_backtest_is_two_tables(measured: Backtest) -> None:
    rows = cells_of(show(measured))
    assert rows[0] == ["RMSE", "", "step 1", "step 2", "step 3", "step 5", "step 8"]
    assert {row[0] for row in rows[1 : 1 + len(measured.scores)]} == {*measured.scores}
    assert [row[0] for row in rows if row[1] == "best"] == [measured.best.name]
    assert [row[0] for row in rows[-2:]] == ["80% interval", "95% interval"]


def test_the_frame_of_a_backtest(measured: Backtest) -> None:
    frame = measured.to_frame()
    assert len(frame) == 8 * len(measured.scores)
    of_best = frame[frame["model"] == measured.best.name]
    assert of_best["step"].tolist() == [*range(1, 9)]
    assert of_best["mae"].tolist() == measured.scores[measured.best.name].mae.tolist()
    assert of_best["num_forecasts"].tolist() == measured.num_forecasts.tolist()
