"""Plot of a forecast: the end of the series, the forecast and its prediction intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from charloom.errors import InputError
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.intervals import sort_levels
from charloom.forecasting.series import Series, SeriesLike, as_series
from charloom.io import plots
from charloom.settings.forecasting import DEFAULT_LEVELS
from charloom.settings.limits import check_choice
from charloom_codec.arguments import check_type

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_HORIZONS = 4
"""Length of the part of the series that is drawn, in horizons."""
_BLUE = np.array([0x1F, 0x77, 0xB4]) / 255
_PALEST, _STRONGEST = 0.15, 0.5
"""Share of blue in the intervals' color, which is opaque: each interval looks like its patch in the legend."""


def draw_forecast(
    series: SeriesLike,
    forecast: Forecast,
    levels: Sequence[float] = DEFAULT_LEVELS,
    format: plots.PictureFormat = "png",  # noqa: A002
) -> bytes:
    """Draws the end of a series, its forecast and the prediction intervals.

    Args:
        series: Series that was forecast.
        forecast: Forecast from one origin, the end of the series.
        levels: Levels of the prediction intervals.
        format: File format.

    Returns:
        The contents of the file.

    Raises:
        InputError: The forecast is from several origins.
    """
    series = as_series(series)
    check_type(Forecast, forecast=forecast)
    if forecast.mean.ndim != 1:
        raise InputError("has several origins; pass a result of Forecaster.forecast", setting="forecast")
    check_choice("format", format, plots.PictureFormat)
    levels = sort_levels(levels)
    horizon = len(forecast.mean)
    start = max(0, len(series) - max(_SHOWN_HORIZONS * horizon, 60))
    figure = plots.new_figure(8, 4)
    axes = figure.subplots()
    positions = _compute_positions(axes, series, start, len(series) + horizon)
    past, future = positions[: len(series) - start], positions[len(series) - start :]
    axes.plot(past, series.values[start:], color="black", lw=1, label="observed")
    widest_first = levels[::-1]  # narrower intervals are drawn over wider ones
    for level, strength in zip(widest_first, np.linspace(_PALEST, _STRONGEST, len(widest_first)), strict=True):
        low, high = forecast.interval(level)
        shade = tuple(1 - strength * (1 - _BLUE))
        axes.fill_between(future, low, high, color=shade, lw=0, label=f"{100 * level:.4g}% interval")
    # The line of a forecast of one point is invisible without a marker.
    marker = "." if horizon < 10 else ""
    axes.plot(future, forecast.mean, color=tuple(_BLUE), lw=1.5, marker=marker, clip_on=False, label="forecast")
    # matplotlib would parse a dollar sign as mathematics.
    axes.set_ylabel(series.name.replace("$", r"\$"))
    axes.set_xlim(positions[0], positions[-1])  # no margin: a time before year 1 or after 9999 has no tick
    axes.grid(visible=True, alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    return plots.render_figure(figure, format)


def _compute_positions(
    axes: "Axes", series: Series, start: int, end: int
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Returns horizontal positions of points, and sets ticks at integers or at the start of years, months, days, ..."""
    # Imported here, since matplotlib takes long to import.
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.ticker import MaxNLocator

    if series.dates is None:
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.set_xlabel("point")
        return np.arange(start, end, dtype=np.float64) + 1  # counted from 1, as labels are
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("time")
    times = [series.dates.time(index) for index in range(start, end)]
    # All times on the clock of the first one, so that ticks need no time zone.
    clock_times = [times[0].replace(tzinfo=None) + (time - times[0]) for time in times]
    return np.asarray(date2num(clock_times), dtype=np.float64)  # type: ignore[no-untyped-call]
