"""``charloom forecast``."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from charloom.cli.output_files import check_targets, picture_format
from charloom.errors import ModelFolderError, SettingsError
from charloom.settings import ForecastSettings, TableSettings
from charloom.settings.forecasting import DEFAULT_LEVELS
from charloom.settings.limits import check_count
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, Force, OutputFile, Word
from charloom_codec.io.standard_streams import STANDARD_INPUT

_PICTURE = ".forecast.png"


def forecast(
    file: Word[str],
    /,
    *,
    held_out: int | None = None,
    level: Annotated[tuple[float, ...], Parameter(negative="", metavar="FLOAT", show_default=False)] = DEFAULT_LEVELS,
    no_backtest: Flag = False,
    output: OutputFile = None,
    plot: Path | None = None,
    save: Path | None = None,
    force: Force = False,
    table: Annotated[TableSettings, Parameter(name="*", group="Table")] = TableSettings(),
    settings: Annotated[ForecastSettings, Parameter(name="*", group="Forecast")] = ForecastSettings(),
) -> None:
    """Forecast a column of a CSV file, with prediction intervals.

    A backtest holds out the end of the series, forecasts it with a network and with baselines, starting from each of
    the held-out points, and prints a table of the errors and the coverage of the intervals. Then the best method, or
    the one passed with --method, is fitted to all points, and its forecast is printed and plotted.

        charloom forecast sales.csv --column units --horizon 12 --output forecast.csv

    Points must be evenly spaced, oldest first.

    Parameters
    ----------
    file
        CSV file with a header; - for standard input. The default formats are plain numbers (-1234.5, 1e6) and ISO 8601
        dates (2001-12-31, 2001-12, 2001, 2001-Q4, 2001-W52, 2001-12-31 23:30); the options under Table change them.
        Formats are not inferred from the contents; a row that cannot be parsed is an error.
    held_out
        Number of points at the end that the backtest holds out. Default: a fifth of the series, but at least the
        horizon.
    level
        Coverage level of a prediction interval, between 0 and 1; repeat the option for several levels. Default: 0.8
        and 0.95.
    no_backtest
        Skip the backtest, which takes about half the run time. With --method auto, the method with the smallest errors
        on held-out blocks is then chosen.
    output
        CSV file for the forecast; - for standard output, with all other output on standard error.
    plot
        Plot file (.png, .svg or .pdf). Default: FILE.forecast.png; none if the input is standard input or a pipe.
    save
        Folder to save the fitted forecaster in; charloom.forecasting.Forecaster.load reads it.
    force
        Overwrite existing output files.
    """
    if no_backtest and held_out is not None:
        raise SettingsError("--held-out and --no-backtest contradict each other: pass only one")
    if held_out is not None:
        check_count("held_out", held_out, minimum=1)
    # Imported here: importing PyTorch takes seconds, and wrong options are reported before that.
    from charloom import forecasting
    from charloom.cli import forecast_tables
    from charloom.forecasting.intervals import sort_levels
    from charloom_codec.io.atomic import write_atomically

    # All checks of options and outputs come before the series is read.
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
        screen.output()  # raises an error now, not after minutes of fitting, if standard output is closed
    series = forecasting.read_series(file, **vars(table))
    # With --output -, standard output must contain the CSV alone.
    console = screen.messages() if output == STANDARD_INPUT else screen.log()
    # Shown first, so that a wrong column or format is noticed before minutes of fitting.
    forecast_tables.show_series(console, series)
    if not no_backtest:
        # The winner of the backtest is fixed here; with ``auto``, fitting would choose a method again.
        settings = replace(settings, method=forecast_tables.show_backtest(console, series, settings, held_out, levels))
    with screen.reading_progress("fitting") as show:
        forecaster = forecasting.fit(series, settings, progress=show)
    found = forecaster.forecast()
    forecast_tables.show_forecast(console, series, found, levels, forecaster)
    files = {picture: forecasting.draw_forecast(series, found, levels, drawn_as)} if picture and drawn_as else {}
    written = forecast_tables.csv_of(series, found, levels, forecaster)
    if table_file is not None:
        files[table_file] = written.encode()
    write_atomically(files)  # both are complete before either replaces a file of an earlier forecast
    if save is not None:
        forecaster.save(save)
    _show_saved(console, picture, table_file, save)
    if output == STANDARD_INPUT:
        sys.stdout.write(written)  # last: if the reader has closed the pipe, the files are complete


def _show_saved(console: Console, picture: Path | None, table_file: Path | None, save: Path | None) -> None:
    """Prints the names of the saved files."""
    if picture is None:
        console.print("No plot: standard input and pipes have no file name; pass a plot file with --plot.")
    for what, place in (("Plot", picture), ("Forecast", table_file), ("Forecaster", save)):
        if place is not None:
            console.print(f"{what} saved to {place}")


def _check_save(folder: Path | None) -> None:
    """Raises SettingsError if the folder contains a language model, an interrupted run or a damaged config."""
    from charloom.forecasting.forecaster import KIND
    from charloom.models.folder import check_replaceable

    if folder is not None:
        # Checked before fitting: saving would refuse to overwrite a language model only after minutes of work.
        try:
            check_replaceable(folder, KIND)
        except ModelFolderError as error:
            raise SettingsError(*error.parts) from None


def _picture_beside(file: str) -> Path | None:
    """Returns the default picture file; None for a pipe: standard input, or a named one such as ``<(...)``."""
    # A missing file is no pipe: reading the series reports it.
    is_pipe = file == STANDARD_INPUT or (Path(file).exists() and not Path(file).is_file())
    return None if is_pipe else Path(file + _PICTURE)
