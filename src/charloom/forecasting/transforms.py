"""Scaling and logarithms: the map from a series to values with a spread of 1, which models are fitted to, and back."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from charloom.errors import Argument, InputError, SeriesError
from charloom.forecasting.series import Values, is_constant
from charloom.settings.forecasting import Domain, Transform

Chosen: TypeAlias = Literal["none", "log"]

_MIN_RISE = 1.5
"""Minimum ratio of the highest to the lowest level at which changes can be compared with levels."""
_MAX_LOGARITHM = 700.0
"""Limit of logarithms, just below that of the largest float."""
_MAX_DISTANCE = 1e12
"""Limit of the distance from the fitted series, in its spreads: beyond it rounding errors hide the intervals."""


@dataclass(frozen=True)
class Scale:
    """Map between a series and values of mean 0 and standard deviation 1, which models are fitted to.

    Values are first divided by a power of two, which is exact, so that neither squares of tiny values nor sums of
    large ones leave the range of floats.

    Attributes:
        transform: Whether logarithms of the divided values are taken (log) or not (none).
        exponent: Exponent of the power of two.
        offset: Mean of the divided (and transformed) values.
        spread: Standard deviation of these values, or 1 if they are all the same.
        sign: 1 if forecasts must not be negative, -1 if they must not be positive, 0 if they may be either.
        is_integer: Whether forecasts and bounds of intervals are rounded to integers.
    """

    transform: Chosen
    exponent: int
    offset: float
    spread: float
    sign: int = 0
    is_integer: bool = False

    def to_unit(self, values: Values) -> Values:
        """Scales values from the unit of the series to that of the models.

        Raises:
            SeriesError: Logarithms are forecast, and a value is not positive.
            InputError: A value is too far from those that the scale was made from.
        """
        if self.transform == "log" and np.min(values) <= 0:
            raise SeriesError("some values are not positive; fit with ", Argument("transform", "none"))
        # An overflow gives infinity, which is refused below as too far.
        with np.errstate(over="ignore", divide="ignore"):
            divided = np.ldexp(values, -self.exponent)
            scaled = ((np.log(divided) if self.transform == "log" else divided) - self.offset) / self.spread
        if len(far := np.flatnonzero(np.abs(scaled) > _MAX_DISTANCE)):
            problem = f"a value of {values[far[0]]:g} is too far from the fitted series to forecast from it"
            raise InputError(problem, hint="fit to a series that contains such values")
        return scaled

    def from_unit(self, values: Values) -> Values:
        """Scales values to the unit of the series and clips them to its sign. Finite values stay finite."""
        with np.errstate(over="ignore"):
            found = values * self.spread + self.offset
            if self.transform == "log":
                found = np.exp(np.minimum(found, _MAX_LOGARITHM))
            found = np.ldexp(found, self.exponent)
        largest = float(np.finfo(np.float64).max)
        # Adding zero turns -0.0 into 0.0.
        return np.clip(found, -largest if self.sign <= 0 else 0.0, largest if self.sign >= 0 else 0.0) + 0.0

    def round_values(self, values: Values) -> Values:
        """Rounds to the nearest integers if forecasts are integers."""
        return np.rint(values) + 0.0 if self.is_integer else values

    def round_bounds(self, low: Values, high: Values) -> tuple[Values, Values]:
        """Rounds bounds to the nearest integers, halves outward, if forecasts are integers."""
        return (np.ceil(low - 0.5) + 0.0, np.floor(high + 0.5) + 0.0) if self.is_integer else (low, high)


def make_scale(values: Values, transform: Transform, season: int, domain: Domain) -> Scale:
    """Makes the scale of a series.

    ``auto`` takes logarithms if the spread of changes grows with the level at more than half its rate (on logarithmic
    scales), and if the slope of a regression over at least six blocks of the series is larger than twice its standard
    error. After Guerrero, Time-series analysis supported by power transformations, 1993.

    Args:
        values: Values in the unit of the series: (points,).
        transform: auto, none or log.
        season: Points per season, 1 for none; blocks are at least as long.
        domain: auto to round and clip forecasts like the values, or real.

    Returns:
        The scale.

    Raises:
        SeriesError: ``transform`` is log, and a value is not positive.
    """
    if transform == "log" and np.min(values) <= 0:
        raise SeriesError(
            *(Argument("transform", "log"), " requires positive values"),
            hint=("pass ", Argument("transform", "none"), ", or add a constant to the values"),
        )
    # A power of two changes no digit of a value.
    exponent = int(np.frexp(np.max(np.abs(values)))[1])
    divided = np.ldexp(values, -exponent)
    # The regression needs the logarithm of every level.
    is_log = transform == "log" or (
        transform == "auto" and np.min(values) > 0 and _has_growing_changes(divided, season)
    )
    if is_log:
        divided = np.log(divided)
    constant = is_constant(values)
    # The mean of equal values may differ from them by rounding.
    offset = float(divided[0] if constant else divided.mean())
    spread = 1.0 if constant else float((divided - offset).std())
    sign, is_integer = 0, False
    if domain == "auto":
        # A series of zeros only counts as not negative.
        sign = 1 if np.min(values) >= 0 else -1 if np.max(values) <= 0 else 0
        is_integer = bool(np.all(values == np.rint(values)))
    return Scale("log" if is_log else "none", exponent, offset, spread, sign, is_integer)


def _has_growing_changes(values: Values, season: int) -> bool:
    """Returns True if the spread of changes grows with the level; see ``make_scale``."""
    changes = np.diff(values)
    # A block of a full season has the level of the series, not that of a part of the season.
    length = max(season, len(changes) // 20, 5)
    num_blocks = len(changes) // length
    if num_blocks < 6:
        return False
    # The remainder is cut off at the start, so that the latest points take part.
    start = len(changes) - num_blocks * length
    # Change i leads to value i + 1, hence the 1.
    levels = np.log(values[1 + start :].reshape(num_blocks, length).mean(1))
    spreads = changes[start:].reshape(num_blocks, length).std(1)
    # A block without changes has no logarithm, and a constant level no slope.
    if np.any(spreads <= 0) or np.ptp(levels) < np.log(_MIN_RISE):
        return False
    # Regression through the origin of the centered logarithms: the slope is the rate of growth.
    x, y = levels - levels.mean(), np.log(spreads) - np.log(spreads).mean()
    slope = float(x @ y / (x @ x))
    # Two degrees of freedom are used, by the slope and by the means that were subtracted.
    error = float(np.sqrt(np.sum((y - slope * x) ** 2) / (num_blocks - 2) / (x @ x)))
    return slope > 0.5 and slope > 2 * error
