"""How a numeric series is forecast."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.settings.limits import check_number, check_whole, check_word
from charloom.settings.model import Cell

Transform: TypeAlias = Literal["auto", "none", "log"]
"""What is forecast: the values, or their logarithms, where their swings grow with their level."""
Model: TypeAlias = Literal["auto", "network", "ar", "seasonal-mean", "seasonal-naive", "drift", "naive", "mean"]
"""What forecasts; auto compares the others and takes the best."""
Domain: TypeAlias = Literal["auto", "real"]
"""Which values a forecast may have: those of the series' kind, or any number."""
USUAL_LEVELS = (0.8, 0.95)
"""Of the intervals that are shown and measured where nobody asks for others."""


@dataclass(frozen=True)
class ForecastSettings:
    """How a series is forecast: a linear autoregression, and recurrent networks that correct it.

    Attributes:
        horizon: Steps ahead that are forecast, that lags are chosen for, and that intervals are measured at.
        model: The forecasting model: network (linear autoregressions corrected by recurrent networks), ar (a plain
            autoregression), seasonal-naive (the last season again), seasonal-mean (the mean of the last three), drift
            (the last value and the mean change), naive (the last value), mean (the mean of all values), or auto, the
            one with the smallest errors.
        season: Points in a season (12 for months of a year, 1 for none); found by a test if not given.
        transform: Forecast logarithms (log) or the values themselves (none); auto takes logarithms of positive series
            whose swings grow with their level.
        domain: Values that a forecast may have: whole numbers if all values of the series are, none below zero if none
            of the series is, none above zero likewise (auto), or any number (real).
        tau: Order of the plain autoregression (ar); a season and a point, or 4, if not given.
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
    model: Model = "auto"
    season: int | None = None
    transform: Transform = "auto"
    domain: Domain = "auto"
    tau: int | None = None
    max_lags: int | None = None
    cell: Cell = "gru"
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
        check_word(self, model=Model, transform=Transform, domain=Domain, cell=Cell)
        check_whole(self, "horizon", maximum=4000)
        check_whole(self, "season", "max_lags", "tau", optional=True)
        check_whole(self, "hidden_size", "batch_size")
        check_whole(self, "context", minimum=2)
        check_whole(self, "members", minimum=2, maximum=100)
        check_whole(self, "num_paths", minimum=20, maximum=1_000_000)
        check_whole(self, "epochs", minimum=0)
        check_whole(self, "seed", minimum=0)
        check_whole(self, "threads", maximum=1024)  # PyTorch crashes on very many
        check_number(self, "learning_rate", maximum=1.0, above_minimum=True)
        check_number(self, "weight_decay", maximum=1.0)
