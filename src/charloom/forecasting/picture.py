"""A forecast as a picture."""

import io
import warnings
from collections.abc import Sequence

import numpy as np

from charloom.forecasting.forecaster import Forecast
from charloom.forecasting.series import Series
from charloom.settings.forecasting import USUAL_LEVELS

_SHOWN_HORIZONS = 4
"""How much of the past is shown, in horizons."""


def draw_forecast(series: Series, forecast: Forecast, levels: Sequence[float] = USUAL_LEVELS) -> bytes:
    """The end of a series, its forecast and the intervals around it, as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    horizon = len(forecast.mean)
    begin = max(0, len(series) - max(_SHOWN_HORIZONS * horizon, 60))
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    past = np.arange(begin, len(series))
    future = np.arange(len(series), len(series) + horizon)
    axes.plot(past, series.values[begin:], color="black", lw=1, label="observed")
    for level in sorted(levels, reverse=True):
        low, high = forecast.interval(level)
        axes.fill_between(future, low, high, color="tab:blue", alpha=0.2, lw=0, label=f"{level:.0%} interval")
    axes.plot(future, forecast.mean, color="tab:blue", lw=1.5, marker="." if horizon < 10 else "", label="forecast")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: series.label(int(at)) if at >= 0 else ""))
    axes.set_xlabel("time" if series.dates is not None else "point")
    axes.set_ylabel(series.name.replace("$", r"\$"))
    axes.margins(x=0.01)
    axes.grid(visible=True, alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in letters that the font lacks: boxes do
        figure.savefig(picture, format="png", dpi=130)
    return picture.getvalue()
