"""Forecasts of a numeric series, with prediction intervals calibrated on held-out errors.

    series = forecasting.read_series("co2.csv", "co2")  # or any sequence of numbers
    forecaster = forecasting.fit(series, horizon=24)
    forecast = forecaster.forecast()
    forecast.mean, forecast.interval(0.95)

``backtest`` measures the errors of such forecasts on the end of the series, along with those of baselines: naive
forecasts and a least-squares autoregression. All functions also take series and frames of pandas and polars;
``tabulate_forecast`` makes such a frame of a forecast, and ``AutoCharloom`` is a model for StatsForecast.
"""

from charloom.forecasting.auto_model import AutoCharloom
from charloom.forecasting.backtest import Backtest, Scores, backtest
from charloom.forecasting.baselines import AutoRegression, Baseline, Drift, Mean, Naive, SeasonalMean, SeasonalNaive
from charloom.forecasting.csv_series import read_series
from charloom.forecasting.fitting import fit
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.forecast_table import tabulate_forecast
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.picture import draw_forecast
from charloom.forecasting.seasons import find_season
from charloom.forecasting.series import Series
from charloom.settings.forecasting import ForecastSettings

__all__ = [
    "AutoCharloom",
    "AutoRegression",
    "Backtest",
    "Baseline",
    "Drift",
    "Forecast",
    "ForecastSettings",
    "Forecaster",
    "Mean",
    "Naive",
    "Scores",
    "SeasonalMean",
    "SeasonalNaive",
    "Series",
    "backtest",
    "draw_forecast",
    "find_season",
    "fit",
    "read_series",
    "tabulate_forecast",
]
