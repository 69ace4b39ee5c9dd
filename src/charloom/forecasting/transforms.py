"""Values as the models see them, of unit spread, as they are or as logarithms; and forecasts in the series' unit."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from charloom.errors import Argument, InputError, SeriesError
from charloom.forecasting.series import Values, is_constant
from charloom.settings.forecasting import Domain, Transform

Chosen: TypeAlias = Literal["none", "log"]

_MIN_RISE = 1.5
"""A level must rise by so much before the swings tell anything."""
_MAX_LOGARITHM = 700.0
_MAX_DISTANCE = 1e12
"""From the fitted series, in its spreads: beyond, forecasts would be capped and their intervals lost in rounding."""


@dataclass(frozen=True)
class Scale:
    """The map between a series and values of mean 0 and standard deviation 1, which the models see.

    Values are first divided by a power of two, which is exact, so that neither squares of tiny values nor sums of
    large ones leave the range of floats.

    Attributes:
        transform: Logarithms are taken of the divided values (log), or not (none).
        exponent: Of that power of two.
        offset: Mean of the divided (and transformed) values.
        spread: Their standard deviation, or 1 if they are all the same.
        sign: 1 if no forecast is below zero, -1 if none is above, 0 if both may be.
        whole: Forecasts and bounds of intervals are whole numbers.
    """

    transform: Chosen
    exponent: int
    offset: float
    spread: float
    sign: int = 0
    whole: bool = False

    def to_unit(self, values: Values) -> Values:
        """Values of the series' unit as the models see them.

        Raises SeriesError for values without a logarithm if logarithms are forecast, InputError for values that are
        too far from those that the scale was made of.
        """
        if self.transform == "log" and np.min(values) <= 0:
            raise SeriesError("there are values that are not positive: fit with ", Argument("transform", "none"))
        with np.errstate(over="ignore", divide="ignore"):
            divided = np.ldexp(values, -self.exponent)
            scaled = ((np.log(divided) if self.transform == "log" else divided) - self.offset) / self.spread
        if len(far := np.flatnonzero(np.abs(scaled) > _MAX_DISTANCE)):
            what = f"a value of {values[far[0]]:g} is too far from the fitted series to forecast from it"
            raise InputError(what, hint="fit to a series that has such values")
        return scaled

    def from_unit(self, values: Values) -> Values:
        """The models' values in the series' unit, on its side of zero; finite for all finite values."""
        with np.errstate(over="ignore"):
            found = values * self.spread + self.offset
            if self.transform == "log":
                found = np.exp(np.minimum(found, _MAX_LOGARITHM))
            found = np.ldexp(found, self.exponent)
        largest = float(np.finfo(np.float64).max)
        # Added zeros make zeros positive.
        return np.clip(found, -largest if self.sign <= 0 else 0.0, largest if self.sign >= 0 else 0.0) + 0.0

    def rounded(self, values: Values) -> Values:
        """The nearest whole numbers, if forecasts are whole."""
        return np.rint(values) + 0.0 if self.whole else values

    def rounded_bounds(self, low: Values, high: Values) -> tuple[Values, Values]:
        """The nearest whole numbers, halves outward, if forecasts are whole: they hold the whole numbers between."""
        return (np.ceil(low - 0.5) + 0.0, np.floor(high + 0.5) + 0.0) if self.whole else (low, high)


def make_scale(values: Values, transform: Transform, season: int, domain: Domain) -> Scale:
    """The scale of a series in its own unit. Raises SeriesError if logarithms are asked for and a value has none.

    ``auto`` takes logarithms where the spread of changes grows with the level at more than half its rate (on
    logarithmic scales), by a regression over at least ten stretches of the series that leaves no doubt. After Guerrero,
    Time-series analysis supported by power transformations, 1993.
    """
    if transform == "log" and np.min(values) <= 0:
        raise SeriesError(
            *(Argument("transform", "log"), " needs positive values"),
            hint=("give ", Argument("transform", "none"), ", or add to them"),
        )
    exponent = int(np.frexp(np.max(np.abs(values)))[1])
    divided = np.ldexp(values, -exponent)
    is_log = transform == "log" or (transform == "auto" and np.min(values) > 0 and _swings_grow(divided, season))
    if is_log:
        divided = np.log(divided)
    constant = is_constant(values)
    offset = float(divided[0] if constant else divided.mean())
    spread = 1.0 if constant else float((divided - offset).std())
    sign, whole = 0, False
    if domain == "auto":
        sign = 1 if np.min(values) >= 0 else -1 if np.max(values) <= 0 else 0
        whole = bool(np.all(values == np.rint(values)))
    return Scale("log" if is_log else "none", exponent, offset, spread, sign, whole)


def _swings_grow(values: Values, season: int) -> bool:
    changes = np.diff(values)
    length = max(season, len(changes) // 20, 5)
    number = len(changes) // length
    if number < 6:
        return False
    ends = len(changes) - number * length
    levels = np.log(values[1 + ends :].reshape(number, length).mean(1))
    spreads = changes[ends:].reshape(number, length).std(1)
    if np.any(spreads <= 0) or np.ptp(levels) < np.log(_MIN_RISE):
        return False
    x, y = levels - levels.mean(), np.log(spreads) - np.log(spreads).mean()
    slope = float(x @ y / (x @ x))
    error = float(np.sqrt(np.sum((y - slope * x) ** 2) / (number - 2) / (x @ x)))
    return slope > 0.5 and slope > 2 * error
