"""The length of a season, found by a test of the means of its points.

Source of the test: one-way analysis of variance on residuals whitened by the Cochrane-Orcutt method; the normal
approximation of its F ratio is Paulson's (1942).
"""

import numpy as np

from charloom.forecasting.series import SeriesLike, Values, as_series

_MAX_LENGTH = 400
_MIN_POINTS = 8
_THRESHOLD = 1.4
"""Added to the expected maximum of as many normal values as seasons are tried; sets the rate of false seasons."""
_PREFERENCE = 0.93
"""A divisor of the best season is taken instead if it scores this share: multiples of a season repeat it too."""


def find_season(values: SeriesLike) -> int:
    """Points in a season, or 1 if the series shows none.

    Every length that fits at least twice in the evenly spaced values is tried. The points of a season (the Januaries,
    the Februaries, ...) are grouped, and the variance between the groups' means is compared to that within them, after
    a linear trend and the autocorrelation of the residuals are removed. The autocorrelation is estimated for each
    length with its season taken out, so that neither a random walk nor a season passes for the other.
    """
    values = as_series(values).values
    longest = min(len(values) // 2, _MAX_LENGTH)
    if len(values) < _MIN_POINTS or longest < 2 or np.ptp(values) == 0:
        return 1
    time = np.linspace(-1.0, 1.0, len(values))
    centered = values - values.mean()
    level = centered / np.ptp(values)
    detrended = level - time * (time @ level) / (time @ time)
    # With both: a change of level less a trend is a sawtooth, and a trend alone hides a season.
    scores = np.array([min(_score(level, season), _score(detrended, season)) for season in range(2, longest + 1)])
    best = int(np.argmax(scores))
    if scores[best] <= np.sqrt(2 * np.log(len(scores))) + _THRESHOLD:
        return 1
    divisors = [season for season in range(2, best + 3) if (best + 2) % season == 0]
    return next(season for season in divisors if scores[season - 2] >= _PREFERENCE * scores[best])


def _score(values: Values, season: int) -> float:
    """The F ratio of a season as a normal score: larger if the season is plainer."""
    for _ in range(2):  # a sum of a random walk needs two
        residuals = _without_season(values, season)
        power = float(residuals @ residuals)
        correlation = float(residuals[1:] @ residuals[:-1]) / power if power > 0 else 0.0
        correlation += (1 + 3 * correlation) / len(values)  # the estimate's bias, to first order
        values = values[1:] - min(max(correlation, -0.9), 1.0) * values[:-1]
    residuals = _without_season(values, season)
    phases = np.arange(len(values)) % season
    seen_twice = np.bincount(phases, minlength=season)[phases] > 1  # a point that is seen once fits its own mean
    values, residuals = values[seen_twice], residuals[seen_twice]
    if not len(values):
        return 0.0
    within = float(residuals @ residuals)
    centered = values - values.mean()
    between = float(centered @ centered) - within
    groups = len(np.unique(phases[seen_twice]))
    few, many = groups - 1, len(values) - groups
    if few < 1 or many < 1 or between <= 0:
        return 0.0
    tiny = float(np.finfo(np.float64).tiny)
    ratio = (between / few) / max(within / many, between * 1e-9, tiny)
    root = ratio ** (1 / 3)
    few_spread, many_spread = 2 / (9 * few), 2 / (9 * many)
    return float(((1 - many_spread) * root - (1 - few_spread)) / np.sqrt(many_spread * root**2 + few_spread))


def _without_season(values: Values, season: int) -> Values:
    """Values less the mean of their point of the season."""
    phases = np.arange(len(values)) % season
    sums = np.bincount(phases, values, season)
    means: Values = sums / np.bincount(phases, minlength=season)
    return values - means[phases]
