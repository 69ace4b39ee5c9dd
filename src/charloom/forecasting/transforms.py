"""Values as they are forecast: themselves, or their logarithms where swings grow with the level."""

from typing import Literal, TypeAlias

import numpy as np

from charloom.errors import Argument, SeriesError
from charloom.forecasting.series import Values
from charloom.settings.forecasting import Transform

Chosen: TypeAlias = Literal["none", "log"]

_LEAST_RISE = 1.5
"""A level must rise by so much before the swings tell anything."""
_LARGEST_LOGARITHM = 700.0


def choose_transform(values: Values, transform: Transform, season: int) -> Chosen:
    """Which it is. Raises SettingsError where logarithms are asked for of what has none.

    ``auto``: logarithms where the spread of changes grows with the level at more than half its rate (on logarithmic
    scales), by a regression over at least ten stretches of the series that leaves no doubt. After Guerrero, Time-series
    analysis supported by power transformations, 1993.
    """
    if transform == "none":
        return "none"
    if np.min(values) <= 0:
        if transform == "log":
            raise SeriesError(
                Argument("transform", "log"),
                " needs positive values: use ",
                Argument("transform", "none"),
                ", or add to them",
            )
        return "none"
    return "log" if transform == "log" or _swings_grow(values, season) else "none"


def _swings_grow(values: Values, season: int) -> bool:
    changes = np.diff(values)
    length = max(season, len(changes) // 20, 5)
    number = len(changes) // length
    if number < 6:
        return False
    ends = len(changes) - number * length
    levels = np.log(values[1 + ends :].reshape(number, length).mean(1))
    spreads = changes[ends:].reshape(number, length).std(1)
    if np.any(spreads <= 0) or np.ptp(levels) < np.log(_LEAST_RISE):
        return False
    x, y = levels - levels.mean(), np.log(spreads) - np.log(spreads).mean()
    slope = float(x @ y / (x @ x))
    error = float(np.sqrt(np.sum((y - slope * x) ** 2) / (number - 2) / (x @ x)))
    return slope > 0.5 and slope > 2 * error


def to_scale(values: Values, transform: Chosen) -> Values:
    """Values to what is forecast."""
    if transform == "log":
        if np.min(values) <= 0:
            raise SeriesError("there are values that are not positive: fit with ", Argument("transform", "none"))
        return np.log(values)
    return values


def from_scale(values: Values, transform: Chosen) -> Values:
    """What is forecast back to values; finite whatever it is."""
    return np.exp(np.minimum(values, _LARGEST_LOGARITHM)) if transform == "log" else values
