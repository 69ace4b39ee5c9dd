"""Settings for reading and forecasting a numeric series."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.limits import check_bool, check_int, check_number, check_str
from charloom_codec.cells import CellName

Transform: TypeAlias = Literal["auto", "none", "log"]
"""Transform before forecasting: none or logarithm; auto takes logarithms if the amplitude grows with the level."""
Method: TypeAlias = Literal["auto", "network", "ar", "seasonal-mean", "seasonal-naive", "drift", "naive", "mean"]
"""Forecasting method; auto compares the others and uses the best."""
Domain: TypeAlias = Literal["auto", "real"]
"""Domain of forecast values: that of the series (integers, sign), or all real numbers."""
Missing: TypeAlias = Literal["refuse", "interpolate"]
DEFAULT_LEVELS = (0.8, 0.95)
"""Default coverage levels of prediction intervals."""

DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
"""Names of delimiters that are hard to type."""
# Its year differs from 1900, strptime's default: a format without a year does not return it.
_SAMPLE = datetime(2001, 12, 30, 23, 58, 59, tzinfo=UTC)

MAX_HORIZON = 4000
MAX_PATHS = 1_000_000


@dataclass(frozen=True)
class TableSettings:
    """Settings of reading a series from a CSV file. None of them is inferred from the file.

    Attributes:
        column: Column to forecast: its header, or its number, counted from 1. Default: the only column besides the
            dates.
        time: Column of dates: its header, or its number, counted from 1. Dates must be evenly spaced and ascending.
            Default: the first column that is not forecast. Pass none if the table has no dates: its rows are then
            treated as evenly spaced, in file order.
        missing: Handling of missing values (empty, NA, N/A, #N/A, NaN, null, none or a single period) between other
            values: refuse (an error), or interpolate (rounded to integers if all other values are integers). Missing
            values at either end are always rejected.
        delimiter: Character that separates columns, or the word tab. Default: a comma; a tab if the file name ends in
            .tsv.
        decimal: Decimal separator: a period or a comma. Default: a period.
        thousands: Thousands separator: a comma (,), period (.), apostrophe (') or space. Default: none.
        date_format: Format of the dates for strptime, for example %d.%m.%Y. Default: ISO 8601. Forecast dates are
            written by strftime, which pads with zeros: 9/1/2023 is followed by 09/02/2023.
        header: Whether the first row contains column names. Default: yes, but a first row that may contain values is
            refused.
        skip_rows: Number of lines to skip before the header.
    """

    column: str | int | None = None
    time: str | int | None = None
    missing: Missing = "refuse"
    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    header: bool | None = None
    skip_rows: int = 0

    def __post_init__(self) -> None:
        # A str is a header; check_int handles numbers of columns and None.
        for name in ("column", "time"):
            if not isinstance(getattr(self, name), str):
                check_int(self, name, optional=True)
        check_str(self, missing=Missing)
        check_bool(self, "header", optional=True)
        check_int(self, "skip_rows", minimum=0)
        for name, signs in (("decimal", (".", ",")), ("thousands", (",", ".", " ", "'"))):
            sign = getattr(self, name)
            if sign is not None and (not isinstance(sign, str) or sign not in signs):
                raise SettingsError(f"it must be one of {' '.join(map(repr, signs))}", setting=name, value=sign)
        # The default decimal separator is a point, so a point between thousands needs another decimal separator.
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise SettingsError(
                "it is also the decimal separator",
                setting="thousands",
                value=self.thousands,
                hint=("set ", Argument("decimal", "," if self.thousands == "." else ".")),
            )
        delimiter = self.delimiter
        # The type is tested first: an unhashable value would raise TypeError in the look-up.
        is_name = isinstance(delimiter, str) and delimiter in DELIMITER_NAMES
        # A letter or digit would split numbers and headers; a quote or line end has a meaning of its own in CSV.
        is_character = (
            isinstance(delimiter, str) and len(delimiter) == 1 and not delimiter.isalnum() and delimiter not in '"\r\n'
        )
        if delimiter is not None and not is_name and not is_character:
            raise SettingsError(
                "it must be the word tab, or a single character other than a letter, a digit or a quote",
                setting="delimiter",
                value=delimiter,
            )
        if self.date_format is not None:
            self._check_date_format()

    def _check_date_format(self) -> None:
        if not isinstance(self.date_format, str):
            raise SettingsError("it must be a string such as %d.%m.%Y", setting="date_format", value=self.date_format)
        # The round trip of a sample date finds formats that strptime refuses, some of them with re.error, and formats
        # without a year, which strptime sets to 1900.
        try:
            year = datetime.strptime(_SAMPLE.strftime(self.date_format), self.date_format).year
        except (ValueError, re.error) as error:
            raise SettingsError(
                f"strptime cannot parse dates with this format ({error})", setting="date_format", value=self.date_format
            ) from None
        if year != _SAMPLE.year:
            raise SettingsError(
                "it does not contain the year (%Y or %y)", setting="date_format", value=self.date_format
            )


@dataclass(frozen=True)
class ForecastSettings:
    """Settings of forecasting a series: a linear autoregression, and an ensemble of networks that correct it.

    Attributes:
        horizon: Number of points to forecast. Lags are chosen and intervals calibrated for this horizon.
        method: The forecasting method: network (linear autoregressions corrected by recurrent networks), ar (a plain
            autoregression), seasonal-naive (the last season, repeated), seasonal-mean (the mean of the last seasons, at
            most three), drift (the last value plus the mean change per step), naive (the last value), mean (the mean of
            all values), or auto (the method with the smallest backtest errors; the method that fitting selects on the
            training part is preferred if its errors are at most 2% larger).
        season: Number of points per season (12 for monthly data with a yearly season, 1 for no season). Default:
            detected by a test.
        transform: Forecast logarithms (log) or the values themselves (none); auto takes logarithms of a positive series
            whose amplitude grows with its level.
        domain: Domain of the forecast: auto (integers if all values are integers, not negative if no value is negative,
            not positive if no value is positive), or real (all real numbers).
        num_lags: Order of the plain autoregression (ar). Default: the season length plus one; 4 without a season.
        max_lags: Maximum order of the linear autoregressions of the network method. Default: a fifth of the
            length of the series, at most 256.
        cell: Recurrent cell of the networks.
        hidden_size: Number of hidden units of each network.
        context: Context length: number of points that a network reads before its first forecast, at most a quarter of
            the series.
        members: Number of members of the ensemble. The linear part of each is fitted without one block of the series,
            on which its errors are measured; two neighboring members share a network, fitted without both blocks.
        epochs: Maximum number of epochs of each network; early stopping ends training before the network overfits.
        batch_size: Number of windows in a minibatch.
        learning_rate: Learning rate of AdamW.
        weight_decay: Decoupled weight decay of AdamW, per unit of learning rate.
        num_paths: Number of simulated paths of a forecast; the values of a path are fed back as inputs for its later
            steps.
        seed: Seed for the initial weights, the order of windows, and the simulated paths.
        threads: Number of CPU threads. Networks this small gain nothing from more than one.
    """

    horizon: int = 24
    method: Method = "auto"
    season: int | None = None
    transform: Transform = "auto"
    domain: Domain = "auto"
    num_lags: int | None = None
    max_lags: int | None = None
    cell: CellName = "gru"
    hidden_size: int = 32
    context: int = 64
    members: int = 10
    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    num_paths: int = 1000
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        check_str(self, method=Method, transform=Transform, domain=Domain, cell=CellName)
        check_int(self, "horizon", maximum=MAX_HORIZON)
        check_int(self, "season", "max_lags", "num_lags", optional=True)
        check_int(self, "hidden_size", "batch_size")
        check_int(self, "context", minimum=2)
        # Each member is measured on a block that it was not fitted to, so there must be a second block.
        check_int(self, "members", minimum=2, maximum=100)
        check_int(self, "num_paths", minimum=20, maximum=MAX_PATHS)
        # A member without a path would have no part in the forecast.
        if self.num_paths < self.members:
            raise SettingsError(
                f"it must be at least {self.members}, one for each ensemble member",
                setting="num_paths",
                value=self.num_paths,
            )
        check_int(self, "epochs", minimum=0)
        check_int(self, "seed", minimum=0)
        check_int(self, "threads", maximum=1024)  # PyTorch crashes on very many
        check_number(self, "learning_rate", maximum=1.0, above_minimum=True)
        check_number(self, "weight_decay", maximum=1.0)
