"""``charloom forecast``."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.options import Flag, Force, OutputFile, Word
from charloom.cli.output_files import check_targets, picture_format
from charloom.errors import ModelFolderError, SettingsError
from charloom.settings import ForecastSettings, TableSettings
from charloom.settings.forecasting import DEFAULT_LEVELS
from charloom.settings.limits import check_count
from charloom.text.sources import STANDARD_INPUT

_PICTURE = ".forecast.png"


def forecast(
    file: Word[str],
    /,
    *,
    held_out: int | None = None,
    level: Annotated[tuple[float, ...], Parameter(negative="")] = DEFAULT_LEVELS,
    no_backtest: Flag = False,
    output: OutputFile = None,
    plot: Path | None = None,
    save: Path | None = None,
    force: Force = False,
    table: Annotated[TableSettings, Parameter(name="*", group="Table")] = TableSettings(),
    settings: Annotated[ForecastSettings, Parameter(name="*", group="Forecast")] = ForecastSettings(),
) -> None:
    """Forecast a column of numbers in a CSV file, with intervals.

    First the end of the series is held out and forecast from each of its points, by a network and by plain models: a
    table shows the errors of each, and how often the intervals held. Then the best model (or the one that
    --method names) is fitted to all points, and its forecast is shown and drawn.

        charloom forecast sales.csv --column units --horizon 12 --output forecast.csv

    Points must be evenly spaced, the oldest first.

    Parameters
    ----------
    file
        A table in a text file with a header, its columns separated by commas; - for standard input. Numbers are plain
        (-1234.5, 1e6) and dates ISO 8601 (2001-12-31, 2001-12, 2001, 2001-Q4, 2001-W52, 2001-12-31 23:30) unless the
        options under Table say otherwise. Nothing is inferred and no row is left out.
    held_out
        How many points at the end the backtest holds out. Default: a fifth, at least the horizon.
    level
        Share of true values that an interval is to hold; repeat the option for several.
    no_backtest
        Forecast without measuring first: half the time. The model is then chosen by errors on points left out.
    output
        Write the forecast as CSV to this file; - for standard output, with everything else on standard error.
    plot
        Where the picture goes, a name in .png, .svg or .pdf. Default: FILE.forecast.png; no picture of a pipe.
    save
        Save the fitted forecaster to this folder, for charloom.forecasting.Forecaster.load.
    force
        Overwrite files that are there.
    """
    if no_backtest and held_out is not None:
        raise SettingsError("--held-out is the backtest's: give it without --no-backtest")
    if held_out is not None:
        check_count("held_out", held_out, minimum=1)

    from charloom import forecasting
    from charloom.cli import forecast_tables
    from charloom.forecasting.intervals import sort_levels
    from charloom.io.atomic import write_atomically

    levels = sort_levels(level)
    picture = plot or _picture_beside(file)
    table_file = None if output in (None, STANDARD_INPUT) else Path(str(output))
    check_targets(
        file,
        [(option, target) for option, target in (("--plot", picture), ("--output", table_file)) if target],
        ("--save", save) if save else None,
        force=force,
    )
    drawn_as = picture_format(picture) if picture else None
    _check_save(save)
    if output == STANDARD_INPUT:
        screen.output()  # refused at once if it is closed
    series = forecasting.read_series(file, **vars(table))
    console = screen.messages() if output == STANDARD_INPUT else screen.log()
    forecast_tables.show_series(console, series)
    if not no_backtest:
        settings = replace(settings, method=forecast_tables.show_backtest(console, series, settings, held_out, levels))
    with screen.reading_progress("fitting") as show:
        forecaster = forecasting.fit(series, settings, progress=show)
    found = forecaster.forecast()
    forecast_tables.show_forecast(console, series, found, levels, forecaster)
    files = {picture: forecasting.draw_forecast(series, found, levels, drawn_as)} if picture and drawn_as else {}
    written = forecast_tables.csv_of(series, found, levels, forecaster)
    if table_file is not None:
        files[table_file] = written.encode()
    write_atomically(files)
    if save is not None:
        forecaster.save(save)
    if picture is None:
        pipe = "standard input" if file == STANDARD_INPUT else file
        console.print(f"No picture is drawn, since {pipe} is a pipe: --plot names a place.")
    for what, place in (("Drawn in", picture), ("Written to", table_file), ("Saved in", save)):
        if place is not None:
            console.print(f"{what} {place}")
    if output == STANDARD_INPUT:
        sys.stdout.write(written)  # last: if nobody reads it, the files are there


def _check_save(folder: Path | None) -> None:
    """Raises SettingsError if the folder has something other than a forecaster."""
    from charloom.forecasting.forecaster import KIND
    from charloom.models.folder import check_kind

    if folder is not None:
        try:
            check_kind(folder, KIND)
        except ModelFolderError as error:
            raise SettingsError(*error.parts) from None


def _picture_beside(file: str) -> Path | None:
    """The default place; None for a pipe, whether it is standard input or named by a shell."""
    is_pipe = file == STANDARD_INPUT or (Path(file).exists() and not Path(file).is_file())
    return None if is_pipe else Path(file + _PICTURE)
