"""How a numeric series is read and forecast."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.cells import CellName
from charloom.settings.limits import check_number, check_switch, check_whole, check_word

Transform: TypeAlias = Literal["auto", "none", "log"]
"""What is forecast: the values, or their logarithms, where their swings grow with their level."""
Method: TypeAlias = Literal["auto", "network", "ar", "seasonal-mean", "seasonal-naive", "drift", "naive", "mean"]
"""What forecasts; auto compares the others and takes the best."""
Domain: TypeAlias = Literal["auto", "real"]
"""Which values a forecast may have: those of the series' kind, or any number."""
Missing: TypeAlias = Literal["refuse", "interpolate"]
USUAL_LEVELS = (0.8, 0.95)
"""Of the intervals that are shown and measured where nobody asks for others."""

DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
"""Words for delimiters that are hard to type."""
_SAMPLE = datetime(2001, 12, 30, 23, 58, 59, tzinfo=UTC)

MAX_HORIZON = 4000
MAX_PATHS = 1_000_000


@dataclass(frozen=True)
class TableSettings:
    """Where a series stands in a CSV file, and how it is written. Nothing of this is inferred from the file.

    Attributes:
        column: The column to forecast: its header, or its number from 1. Default: the only one beside the dates.
        time: The column of dates: its header, or its number from 1. They must be evenly spaced, the oldest first.
            Default: the first column that is not forecast. none takes the rows in the order of the file as evenly
            spaced, the oldest first.
        missing: What to do with an empty value, NA, N/A, NaN, null, none or a lone point between other values: refuse
            it, or interpolate, by whole numbers if all others are. Missing values at either end are always refused.
        delimiter: The character between columns, or tab. Default: a comma; a tab if the file's name ends in .tsv.
        decimal: The decimal sign, . or ,. Default: a point.
        thousands: The sign between thousands: , or . or ' or a space. Default: none.
        date_format: Format of the dates in the codes of strptime, as %d.%m.%Y. Default: ISO 8601 dates. Later dates
            are written as strftime writes them: 09/02/2023 after 9/1/2023.
        header: Whether the first row has the names of the columns. Default: it has, and is refused if it could be
            values.
        skip_rows: Lines before the header that are not part of the table.
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
        for name in ("column", "time"):
            if not isinstance(getattr(self, name), str):
                check_whole(self, name, optional=True)
        check_word(self, missing=Missing)
        check_switch(self, "header", optional=True)
        check_whole(self, "skip_rows", minimum=0)
        for name, signs in (("decimal", (".", ",")), ("thousands", (",", ".", " ", "'"))):
            sign = getattr(self, name)
            if sign is not None and (not isinstance(sign, str) or sign not in signs):
                raise SettingsError(f"it must be one of {' '.join(map(repr, signs))}", setting=name, value=sign)
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise SettingsError(
                "it is the decimal sign, too",
                setting="thousands",
                value=self.thousands,
                hint=("give ", Argument("decimal", "," if self.thousands == "." else ".")),
            )
        mark = self.delimiter
        named = isinstance(mark, str) and mark in DELIMITER_NAMES
        one = isinstance(mark, str) and len(mark) == 1 and not mark.isalnum() and mark not in '"\r\n'
        if mark is not None and not named and not one:
            raise SettingsError(
                "it must be one character that is no letter, digit or quote, or tab", setting="delimiter", value=mark
            )
        if self.date_format is not None:
            self._check_date_format()

    def _check_date_format(self) -> None:
        if not isinstance(self.date_format, str):
            raise SettingsError("it must be a text such as %d.%m.%Y", setting="date_format", value=self.date_format)
        try:
            year = datetime.strptime(_SAMPLE.strftime(self.date_format), self.date_format).year
        except (ValueError, re.error) as error:
            raise SettingsError(
                f"not a format that dates can be read with ({error})", setting="date_format", value=self.date_format
            ) from None
        if year != _SAMPLE.year:
            raise SettingsError("it has no year (%Y or %y)", setting="date_format", value=self.date_format)


@dataclass(frozen=True)
class ForecastSettings:
    """How a series is forecast: a linear autoregression, and recurrent networks that correct it.

    Attributes:
        horizon: Steps ahead that are forecast, that lags are chosen for, and that intervals are measured at.
        method: The forecasting method: network (linear autoregressions corrected by recurrent networks), ar (a plain
            autoregression), seasonal-naive (the last season again), seasonal-mean (the mean of the last three), drift
            (the last value and the mean change), naive (the last value), mean (the mean of all values), or auto, the
            one with the smallest errors.
        season: Points in a season (12 for months of a year, 1 for none); found by a test if not given.
        transform: Forecast logarithms (log) or the values themselves (none); auto takes logarithms of positive series
            whose swings grow with their level.
        domain: Values that a forecast may have: whole numbers if all values of the series are, none below zero if none
            of the series is, none above zero likewise (auto), or any number (real).
        num_lags: Order of the plain autoregression (ar); a season and a point, or 4, if not given.
        max_lags: Most past points that the linear part looks at; a fifth of the series, 256 at most, where not given.
        cell: The recurrent cell of the networks.
        hidden_size: Units of each network.
        context: Points that a network reads before its first forecast; at most a quarter of the series.
        members: Networks, each fitted without one stretch of the series, on which its errors are measured.
        epochs: Most passes of each network over the series; they stop earlier where more would overfit.
        batch_size: Windows in a minibatch.
        learning_rate: Step size of AdamW.
        weight_decay: AdamW's pull of the weights towards zero, per unit of step size.
        num_paths: Futures that are drawn for a forecast, each fed its own values.
        seed: Seed of initial weights, order and paths.
        threads: Processor threads; networks so small gain nothing from more than one.
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
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    num_paths: int = 1000
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        check_word(self, method=Method, transform=Transform, domain=Domain, cell=CellName)
        check_whole(self, "horizon", maximum=MAX_HORIZON)
        check_whole(self, "season", "max_lags", "num_lags", optional=True)
        check_whole(self, "hidden_size", "batch_size")
        check_whole(self, "context", minimum=2)
        check_whole(self, "members", minimum=2, maximum=100)
        check_whole(self, "num_paths", minimum=20, maximum=MAX_PATHS)
        if self.num_paths < self.members:
            raise SettingsError(
                f"it must be at least {self.members}, one for each member", setting="num_paths", value=self.num_paths
            )
        check_whole(self, "epochs", minimum=0)
        check_whole(self, "seed", minimum=0)
        check_whole(self, "threads", maximum=1024)  # PyTorch crashes on very many
        check_number(self, "learning_rate", maximum=1.0, above_minimum=True)
        check_number(self, "weight_decay", maximum=1.0)
