"""The HTML of forecasts and backtests: a picture with an interval, and tables."""

from typing import TYPE_CHECKING

import numpy as np

from charloom.io import markup, plots

if TYPE_CHECKING:
    from charloom.forecasting.backtest import Backtest
    from charloom.forecasting.forecast import Forecast
    from charloom.forecasting.series import Values

_LEVEL = 0.95
_MAX_DRAWN = 1e100
"""Maximum absolute value that is drawn: the margins of a picture of larger ones leave the range of floats."""
_SHOWN_STEPS = 6
"""Maximum number of steps ahead in the table of a backtest, spaced geometrically: the first differ most."""


def make_forecast_markup(forecast: "Forecast") -> str:
    """Returns a picture and a table of a forecast from one origin; a table of the means of one from several."""
    mean = forecast.mean
    if mean.ndim > 1:
        steps = _choose_steps(mean.shape[-1])
        headings = ["origin", *(f"step {step}" for step in steps)]
        rows = [[number, *(float(values[step - 1]) for step in steps)] for number, values in enumerate(mean, 1)]
        return markup.join(markup.make_table(headings, rows))
    low, high = forecast.interval(_LEVEL)
    headings = ["step", "forecast", f"{_LEVEL:.0%} interval from", "to"]
    # A number of numpy's is a number of Python's for the table, too.
    columns = zip(range(1, len(mean) + 1), mean.tolist(), low.tolist(), high.tolist(), strict=True)
    table = markup.make_table(headings, [list(row) for row in columns])
    return markup.join(markup.Markup(_draw(mean, low, high)), table)


def make_backtest_markup(backtest: "Backtest") -> str:
    """Returns tables of the errors of each model and of the coverage, by steps ahead."""
    steps = _choose_steps(len(backtest.num_forecasts))
    headings = [*(f"step {step}" for step in steps)]
    # Sorted by mean error, as on the command line.
    scores = sorted(backtest.scores.items(), key=lambda item: float(item[1].rmse.mean()))
    errors = [
        [name, "best" if name == backtest.best.name else "", *(float(one.rmse[step - 1]) for step in steps)]
        for name, one in scores
    ]
    coverage = [
        [f"{100 * level:.4g}% interval", *(float(shares[step - 1]) for step in steps)]
        for level, shares in backtest.coverage.items()
    ]
    return markup.join(
        markup.make_table(["RMSE", "", *headings], errors),
        *([markup.make_table([f"coverage of {backtest.best.name}", *headings], coverage)] if coverage else []),
    )


def _choose_steps(horizon: int) -> list[int]:
    """Returns steps ahead, from 1 to the horizon, spaced geometrically."""
    return sorted({max(1, round(horizon ** (i / (_SHOWN_STEPS - 1)))) for i in range(_SHOWN_STEPS)})


def _draw(mean: "Values", low: "Values", high: "Values") -> str:
    """Returns the forecast and its interval as SVG; an empty text for values that cannot be drawn."""
    # NaN and infinite values fail the comparison, too.
    if not max(np.abs(low).max(initial=0), np.abs(high).max(initial=0)) < _MAX_DRAWN or not len(mean):
        return ""
    # Imported here, since matplotlib takes long to import.
    from matplotlib.ticker import MaxNLocator

    figure = plots.new_figure(6, 2.8)
    axes = figure.add_subplot()
    steps = np.arange(1, len(mean) + 1)
    marker = "." if len(mean) < 10 else None
    axes.fill_between(steps, low, high, alpha=0.3, lw=0, label=f"{_LEVEL:.0%} interval")
    axes.plot(steps, mean, marker=marker, label="forecast")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel("steps ahead")
    axes.grid(visible=True, alpha=0.25)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return plots.render_inline(figure)
