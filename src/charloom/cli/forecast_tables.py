"""The tables of ``charloom forecast``: the backtest, the forecast, and the forecast as CSV."""

import csv
import io
import math

import numpy as np
from rich.console import Console

from charloom.errors import pluralize
from charloom.forecasting import Backtest, Forecast, Forecaster, Series, backtest
from charloom.forecasting.backtest import default_held_out
from charloom.forecasting.fitting import MAX_POINTS, min_points
from charloom.forecasting.series import Values, is_constant
from charloom.settings import ForecastSettings
from charloom.settings.forecasting import Method
from charloom_codec.cli import screen

_SHOWN_ROWS = 12
_SHOWN_STEPS = 6


def show_series(console: Console, series: Series) -> None:
    """Prints the name, length and dates of a series in one line."""
    span = f", {series.label(0)} to {series.label(len(series) - 1)}" if series.dates is not None else ""
    filled = f"; {pluralize(series.filled, 'missing value')} interpolated" if series.filled else ""
    console.print(f"{screen.printable(series.name)}: {pluralize(len(series), 'point')}{span}{filled}")


def show_backtest(
    console: Console, series: Series, settings: ForecastSettings, held_out: int | None, levels: tuple[float, ...]
) -> Method:
    """Runs a backtest and prints errors and coverage at some steps ahead.

    Returns:
        The method to fit: the best one, if the setting is ``auto``.
    """
    # All errors of a constant series are zero, so that no method is better.
    if is_constant(series.values):
        return settings.method
    needed = default_held_out(len(series), settings.horizon) + min_points(settings.horizon, settings.method)
    # A --held-out that is too large is an error, which backtest() raises; the default is only skipped.
    if held_out is None and len(series) < needed:
        console.print("No backtest: the series is too short to hold out a part of it.")
        return settings.method
    with screen.reading_progress("measuring") as show:
        report = backtest(series, settings, held_out=held_out, levels=levels, progress=show)
    horizon = len(report.num_forecasts)
    # Steps are spaced geometrically, since errors change most at the first ones.
    steps = sorted({max(1, round(horizon ** (i / (_SHOWN_STEPS - 1)))) for i in range(_SHOWN_STEPS)})
    season = f" with a season of {report.season}" if report.season > 1 else ""
    # A long series is fitted to its last MAX_POINTS points only.
    fitted = pluralize(min(report.num_fitted, MAX_POINTS), "point")
    num_held_out = len(series) - report.num_fitted
    held_out_points = "the last point is" if num_held_out == 1 else f"the last {num_held_out:,} points are"
    console.print(f"\nBacktest: fitted to {fitted}{season}; {held_out_points} held out.")
    rows = [
        [f"RMSE of {name}", *(f"{scores.rmse[step - 1]:.4g}" for step in steps)]
        for name, scores in sorted(report.scores.items(), key=lambda item: item[1].rmse.mean())
    ]
    for level, shares in report.coverage.items():
        rows.append([f"coverage of the {_describe_level(level)}", *(f"{shares[step - 1]:.2f}" for step in steps)])
    screen.show_table(console, ["steps ahead", *map(str, steps)], rows)
    console.print(_verdict(report))
    return report.best.method


def _verdict(report: Backtest) -> str:
    """Returns a sentence about the method that is used, and the best if that is another."""
    best, used = min(report.scores, key=report.mean_log_error), report.best.name
    if best == used:
        return f"{used} has the smallest errors and is used."
    if report.best.settings.method == "auto":
        return f"{used} is used: its errors are almost as small as those of {best}."
    # A difference of mean logarithms is the logarithm of the ratio of geometric means.
    share = 1 - np.exp(report.mean_log_error(best) - report.mean_log_error(used))
    return f"The errors of {best} are {share:.0%} smaller than those of {used}; --method auto would use {best}."


def show_forecast(
    console: Console, series: Series, found: Forecast, levels: tuple[float, ...], forecaster: Forecaster
) -> None:
    """Prints a table of the first steps of a forecast, with intervals."""
    horizon = len(found.mean)
    notes = f" with the method {forecaster.name}"
    # Seasonal methods have the season in their names; naive, mean, drift and an AR with --num-lags do not use it.
    uses_season = forecaster.method == "network" or (forecaster.method == "ar" and not forecaster.settings.num_lags)
    if uses_season and forecaster.season > 1:
        notes += f", season of {pluralize(forecaster.season, 'point')}"
    notes += ", on a logarithmic scale" if forecaster.scale.transform == "log" else ""
    notes += ", as integers" if forecaster.scale.is_integer else ""
    console.print(f"\nForecast{notes}, fitted to {pluralize(min(len(series), MAX_POINTS), 'point')}:")
    headings = ["time" if series.dates is not None else "point", "forecast"]
    rows = []
    bounds = [found.interval(level) for level in levels]
    decimals = _decimals(series.values, whole=forecaster.scale.is_integer)
    for step in range(min(horizon, _SHOWN_ROWS)):
        # The format option z shows a negative value that rounds to zero as 0, not as -0.
        spans = [f"{low[step]:z.{decimals}} .. {high[step]:z.{decimals}}" for low, high in bounds]
        rows.append((series.label(len(series) + step), f"{found.mean[step]:z.{decimals}}", *spans))
    screen.show_table(console, [*headings, *map(_describe_level, levels)], rows)
    # A long forecast would push the backtest off the screen.
    if horizon > _SHOWN_ROWS:
        more = pluralize(horizon - _SHOWN_ROWS, "more step")
        console.print(f"... and {more} (--output FILE saves all of them)")
    if is_constant(series.values):
        console.print(
            f"All {pluralize(len(series), 'value')} are equal: no variation can be estimated from them, so "
            "the intervals have zero width."
        )


def _describe_level(level: float) -> str:
    return f"{100 * level:.4g}% interval"


def _decimals(values: Values, *, whole: bool) -> str:
    """Returns a format with three significant digits of the mean change between points; integers without decimals."""
    largest = float(abs(values).max())
    if whole and largest < 1e9:
        return "0f"
    if is_constant(values):
        return "12g"
    quarters = values / 4  # the difference of two huge floats overflows; that of their quarters does not
    change = 4 * float(abs(quarters[1:] - quarters[:-1]).mean())
    digits = 2 - math.floor(math.log10(change)) if change > 0 else 17
    if 0 <= digits <= 8 and largest < 1e9:
        return f"{digits}f"
    return f"{min(17, max(4, digits + 1 + math.ceil(math.log10(largest))))}g"


def csv_of(series: Series, found: Forecast, levels: tuple[float, ...], forecaster: Forecaster) -> str:
    """Returns the forecast as CSV, with numbers in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # 10 digits hide rounding errors: 100 * 0.07 is 7.000000000000001.
    header = [f"{bound}_{100 * level:.10g}" for level in levels for bound in ("lower", "upper")]
    writer.writerow(["time" if series.dates is not None else "point", "forecast", *header])
    bounds = [bound for level in levels for bound in found.interval(level)]
    for step, mean in enumerate(found.mean):
        values = (float(value) for value in (mean, *(bound[step] for bound in bounds)))
        numbers = [int(value) if forecaster.scale.is_integer else value for value in values]
        writer.writerow([series.label(len(series) + step), *numbers])
    return text.getvalue()
