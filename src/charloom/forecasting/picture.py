"""A forecast as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from charloom.arguments import check_type
from charloom.errors import InputError
from charloom.forecasting.forecaster import Forecast
from charloom.forecasting.intervals import sorted_levels
from charloom.forecasting.series import Series, SeriesLike, as_series
from charloom.io import plots
from charloom.settings.forecasting import DEFAULT_LEVELS
from charloom.settings.limits import check_choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_HORIZONS = 4
"""How much of the past is shown, in horizons."""
_BLUE = np.array([0x1F, 0x77, 0xB4]) / 255
_PALEST, _STRONGEST = 0.15, 0.5
"""Of the intervals' blue on white. Nothing shines through, so that each looks like its patch in the legend."""


def draw_forecast(
    series: SeriesLike,
    forecast: Forecast,
    levels: Sequence[float] = DEFAULT_LEVELS,
    format: plots.PictureFormat = "png",  # noqa: A002
) -> bytes:
    """The end of a series, its forecast and the intervals around it. Raises InputError for one from several origins."""
    series = as_series(series)
    check_type(Forecast, forecast=forecast)
    if forecast.mean.ndim != 1:
        raise InputError("has several origins: draw one of Forecaster.forecast", setting="forecast")
    check_choice("format", format, plots.PictureFormat)
    levels = sorted_levels(levels)
    horizon = len(forecast.mean)
    begin = max(0, len(series) - max(_SHOWN_HORIZONS * horizon, 60))
    figure = plots.new_figure(8, 4)
    axes = figure.subplots()
    places = _places(axes, series, begin, len(series) + horizon)
    past, future = places[: len(series) - begin], places[len(series) - begin :]
    axes.plot(past, series.values[begin:], color="black", lw=1, label="observed")
    widest_first = levels[::-1]
    for level, strength in zip(widest_first, np.linspace(_PALEST, _STRONGEST, len(widest_first)), strict=True):
        low, high = forecast.interval(level)
        shade = tuple(1 - strength * (1 - _BLUE))
        axes.fill_between(future, low, high, color=shade, lw=0, label=f"{100 * level:.4g}% interval")
    marker = "." if horizon < 10 else ""
    axes.plot(future, forecast.mean, color=tuple(_BLUE), lw=1.5, marker=marker, clip_on=False, label="forecast")
    axes.set_ylabel(series.name.replace("$", r"\$"))
    axes.set_xlim(places[0], places[-1])  # no margin: a time before year 1 or after 9999 has no tick
    axes.grid(visible=True, alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    return plots.render_figure(figure, format)


def _places(axes: "Axes", series: Series, begin: int, end: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Where points stand on the horizontal axis, which gets its ticks here: at whole years, months, days, ..."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.ticker import MaxNLocator

    if series.dates is None:
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.set_xlabel("point")
        return np.arange(begin, end, dtype=np.float64) + 1  # counted from 1, as labels are
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("time")
    times = [series.dates.time(place) for place in range(begin, end)]
    # As the first one's clock shows them, so that ticks need no time zone.
    clock_times = [times[0].replace(tzinfo=None) + (time - times[0]) for time in times]
    return np.asarray(date2num(clock_times), dtype=np.float64)  # type: ignore[no-untyped-call]
