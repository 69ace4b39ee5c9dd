"""``charloom forecast``."""

import csv
import io
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from charloom.cli import screen
from charloom.errors import InputError, SettingsError
from charloom.settings import ForecastSettings
from charloom.settings.forecasting import USUAL_LEVELS
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.forecasting import Backtest, Forecast, Forecaster, Series

_PICTURE = ".forecast.png"
_SHOWN_ROWS = 12
_SHOWN_STEPS = 6


def forecast(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    column: str | None = None,
    time: str | None = None,
    missing: Annotated[str, Parameter(show_choices=False)] = "refuse",
    held_out: int | None = None,
    tau: int | None = None,
    level: Annotated[tuple[float, ...], Parameter(negative="")] = USUAL_LEVELS,
    no_backtest: Annotated[bool, Parameter(negative="")] = False,
    out: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    plot: Path | None = None,
    save: Path | None = None,
    force: Annotated[bool, Parameter(name=["--force", "-f"], negative="")] = False,
    settings: Annotated[ForecastSettings, Parameter(name="*", group="Forecast")] = ForecastSettings(),
) -> None:
    """Forecast a column of numbers in a CSV file, with intervals.

    First the end of the series is held out and forecast from each of its points, beside the last value (naive), the
    last season (seasonal naive) and a plain autoregression: a table says how far off each was and how often the
    intervals held. Then all points are fitted to, and what comes after them is shown and drawn.

        charloom forecast sales.csv --column units --horizon 12 --out forecast.csv

    Points must be evenly spaced, the oldest first.

    Parameters
    ----------
    file
        A table in a text file, its columns separated by comma, semicolon, tab or bar, with a header or without; - for
        standard input.
    column
        What to forecast: a column's header, or its number from 1. Needed where several columns hold numbers.
    time
        The column with dates (2001-12-31, 2001-12, 2001, or with a time of day). Found where there is one; none ignores
        it.
    missing
        Values that are missing between others: refuse them, or interpolate.
    held_out
        How many points at the end the backtest holds out. Default: a fifth, at least the horizon.
    tau
        Order of the plain autoregression. Default: a season and a point, or 4.
    level
        Share of true values that an interval is to hold; repeat the option for several.
    no_backtest
        Forecast without measuring first: half the time.
    out
        Write the forecast as CSV to this file; - for standard output, with everything else on standard error.
    plot
        Where the picture goes. Default: FILE.forecast.png.
    save
        Save the fitted forecaster to this folder, for charloom.forecasting.Forecaster.load.
    force
        Overwrite files that are there.
    """
    picture = plot or Path("forecast.png" if file == STANDARD_INPUT else file + _PICTURE)
    levels = _check_levels(level)
    if missing not in ("refuse", "interpolate"):
        raise SettingsError(f"missing is {missing!r}: choose one of refuse, interpolate")
    for target in (picture, None if out in (None, STANDARD_INPUT) else Path(str(out))):
        if target is not None:
            _check_target(target, force)
    if save is not None and save.exists() and not force:
        raise InputError(f"{save}: there already; --force overwrites it, another name keeps it")

    from charloom import forecasting
    from charloom.whole_files import write_whole

    series = forecasting.read_series(file, column, time=time, missing=missing)  # type: ignore[arg-type] # checked
    console = screen.messages() if out == STANDARD_INPUT else screen.results()
    _show_series(console, series)
    if not no_backtest:
        _backtest(console, series, settings, held_out, tau, levels)
    with screen.reading_progress("fitting") as bar:
        task = bar.add_task("", total=1.0)
        forecaster = forecasting.fit(series, settings, progress=lambda share: bar.update(task, completed=share))
    found = forecaster.forecast()
    _show_forecast(console, series, found, levels, forecaster)
    files = {picture: forecasting.draw_forecast(series, found, levels)}
    table = _csv(series, found, levels)
    if out == STANDARD_INPUT:
        sys.stdout.write(table)
    elif out is not None:
        files[Path(out)] = table.encode()
    write_whole(files)
    if save is not None:
        forecaster.save(save)
    for what, where in (("Drawn in", picture), ("Written to", out), ("Saved in", save)):
        if where is not None and where != STANDARD_INPUT:
            console.print(f"{what} {where}")


def _check_levels(levels: tuple[float, ...]) -> tuple[float, ...]:
    for level in levels:
        if not 0 < level < 1:
            raise SettingsError(f"--level is {level:g}: it must be between 0 and 1, as 0.95")
    return tuple(sorted(set(levels)))


def _check_target(target: Path, force: bool) -> None:
    """Before minutes are spent."""
    if target.is_dir():
        raise InputError(f"{target}: a folder; name a file")
    if target.exists() and not force:
        raise InputError(f"{target}: there is a file already; --force overwrites it, another name keeps it")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; make it first, or name another place")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target.parent}: cannot be written to; name another place (--plot, --out)")


def _show_series(console: Console, series: "Series") -> None:
    span = f", {series.label(0)} to {series.label(len(series) - 1)}" if series.dates is not None else ""
    filled = f"; {series.filled} missing values interpolated" if series.filled else ""
    console.print(f"{screen.printable(series.name)}: {len(series):,} points{span}{filled}")


def _backtest(
    console: Console,
    series: "Series",
    settings: ForecastSettings,
    held_out: int | None,
    tau: int | None,
    levels: tuple[float, ...],
) -> None:
    from charloom import forecasting
    from charloom.forecasting.backtest import usual_held_out
    from charloom.forecasting.fitting import fewest_points

    if held_out is None and not usual_held_out(len(series), settings.horizon):
        if len(series) >= fewest_points(settings.horizon):  # else an error follows
            console.print("Too short to hold a part out: nothing is measured.")
        return
    with screen.reading_progress("measuring") as bar:
        task = bar.add_task("", total=1.0)
        report = forecasting.backtest(
            series,
            settings,
            held_out=held_out,
            tau=tau,
            levels=levels,
            progress=lambda share: bar.update(task, completed=share),
        )
    _show_backtest(console, series, report)


def _show_backtest(console: Console, series: "Series", report: "Backtest") -> None:
    horizon = len(report.num_forecasts)
    steps = sorted({max(1, round(horizon ** (i / (_SHOWN_STEPS - 1)))) for i in range(_SHOWN_STEPS)})
    season = f", a season of {report.season}" if report.season > 1 else ""
    held_out = len(series) - report.num_fitted
    console.print(f"\nBacktest: fitted to the first {report.num_fitted:,} points{season}; {held_out:,} held out.")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("root mean square error, steps ahead")
    for step in steps:
        table.add_column(str(step), justify="right")
    for name, scores in report.scores.items():
        table.add_row(name, *(f"{scores.rmse[step - 1]:.4g}" for step in steps))
    for level, shares in report.coverage.items():
        table.add_row(f"true values in the {level:.4g} interval", *(f"{shares[step - 1]:.2f}" for step in steps))
    console.print(table)


def _show_forecast(
    console: Console, series: "Series", found: "Forecast", levels: tuple[float, ...], forecaster: "Forecaster"
) -> None:
    horizon = len(found.mean)
    notes = f", a season of {forecaster.season}" if forecaster.season > 1 else ""
    notes += ", on a logarithmic scale" if forecaster.transform == "log" else ""
    console.print(f"\nForecast, fitted to all points{notes}:")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("time" if series.dates is not None else "point")
    table.add_column("forecast", justify="right")
    for level in levels:
        table.add_column(f"{level:.4g} interval", justify="right")
    bounds = [found.interval(level) for level in levels]
    decimals = _decimals(series)
    for step in range(min(horizon, _SHOWN_ROWS)):
        spans = [f"{low[step]:.{decimals}} .. {high[step]:.{decimals}}" for low, high in bounds]
        table.add_row(series.label(len(series) + step), f"{found.mean[step]:.{decimals}}", *spans)
    console.print(table)
    if horizon > _SHOWN_ROWS:
        console.print(f"... and {horizon - _SHOWN_ROWS} more (--out FILE writes all)")


def _decimals(series: "Series") -> str:
    """A format that shows changes from one point to the next to three digits."""
    change = float(abs(series.values[1:] - series.values[:-1]).mean())
    largest = float(abs(series.values).max())
    digits = 2 - math.floor(math.log10(change))
    if 0 <= digits <= 8 and largest < 1e9:
        return f"{digits}f"
    return f"{min(17, max(4, digits + 1 + math.ceil(math.log10(largest))))}g"


def _csv(series: "Series", found: "Forecast", levels: tuple[float, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = [f"{bound}_{100 * level:.10g}" for level in levels for bound in ("lower", "upper")]
    writer.writerow(["time" if series.dates is not None else "point", "forecast", *header])
    bounds = [bound for level in levels for bound in found.interval(level)]
    for step, mean in enumerate(found.mean):
        numbers = [f"{value:.10g}" for value in (mean, *(bound[step] for bound in bounds))]
        writer.writerow([series.label(len(series) + step), *numbers])
    return text.getvalue()
