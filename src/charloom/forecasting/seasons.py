"""Detection of the season length, by a test of the means of the points of a season.

Source: one-way analysis of variance on residuals whitened by the Cochrane-Orcutt method; the normal
approximation of its F ratio is Paulson's (1942).
"""

import numpy as np

from charloom.forecasting.series import SeriesLike, Values, as_series

_MAX_LENGTH = 400
_MIN_POINTS = 8
_THRESHOLD = 1.4
"""Margin over the expected maximum of normal scores, one for each tried season; sets the rate of false positives."""
_PREFERENCE = 0.93
"""Share of the best score at which a divisor of the best season is preferred: multiples of a season fit as well."""


def find_season(values: SeriesLike) -> int:
    """Detects the number of points per season.

    Every length that occurs at least twice in the series, up to 400, is tested. The points of a season (the Januaries,
    the Februaries, ...) are grouped, and the variance between the groups' means is compared to that within them, after
    a linear trend and the autocorrelation of the residuals are removed. The autocorrelation is estimated for each
    length after that season is removed, so that neither a random walk nor a season is mistaken for the other.

    Args:
        values: Evenly spaced values: (points,).

    Returns:
        Points per season; 1 if no season was detected.
    """
    values = as_series(values).values
    longest = min(len(values) // 2, _MAX_LENGTH)
    if len(values) < _MIN_POINTS or longest < 2 or np.ptp(values) == 0:
        return 1
    time = np.linspace(-1.0, 1.0, len(values))
    centered = values - values.mean()
    # In units of the range, so that squares of very large or small values stay in the range of floats.
    level = centered / np.ptp(values)
    detrended = level - time * (time @ level) / (time @ time)
    # Both must score: a change of level minus a trend is a sawtooth, and with its trend a series hides its season.
    scores = np.array(
        [min(_score_season(level, season), _score_season(detrended, season)) for season in range(2, longest + 1)]
    )
    best = int(np.argmax(scores))
    # The expected maximum of n standard normal values is about sqrt(2 ln n).
    if scores[best] <= np.sqrt(2 * np.log(len(scores))) + _THRESHOLD:
        return 1
    # The first score is that of season 2, so index ``best`` is season ``best + 2``.
    divisors = [season for season in range(2, best + 3) if (best + 2) % season == 0]
    return next(season for season in divisors if scores[season - 2] >= _PREFERENCE * scores[best])


def _score_season(values: Values, season: int) -> float:
    """Computes the F ratio of a season as a standard normal score; a clearer season has a larger one."""
    for _ in range(2):  # an integrated random walk needs two
        residuals = _remove_season(values, season)
        power = float(residuals @ residuals)
        correlation = float(residuals[1:] @ residuals[:-1]) / power if power > 0 else 0.0
        correlation += (1 + 3 * correlation) / len(values)  # the estimate's bias, to first order
        values = values[1:] - min(max(correlation, -0.9), 1.0) * values[:-1]
    residuals = _remove_season(values, season)
    phases = np.arange(len(values)) % season
    seen_twice = np.bincount(phases, minlength=season)[phases] > 1  # a point that occurs once equals its own mean
    values, residuals = values[seen_twice], residuals[seen_twice]
    if not len(values):
        return 0.0
    within = float(residuals @ residuals)
    centered = values - values.mean()
    between = float(centered @ centered) - within
    groups = len(np.unique(phases[seen_twice]))
    between_freedom, within_freedom = groups - 1, len(values) - groups
    if between_freedom < 1 or within_freedom < 1 or between <= 0:
        return 0.0
    # A perfect season has no variance within its groups: limit the ratio.
    tiny = float(np.finfo(np.float64).tiny)
    ratio = (between / between_freedom) / max(within / within_freedom, between * 1e-9, tiny)
    root = ratio ** (1 / 3)
    # Paulson (1942): the cube root of F is approximately normal.
    between_var, within_var = 2 / (9 * between_freedom), 2 / (9 * within_freedom)
    return float(((1 - within_var) * root - (1 - between_var)) / np.sqrt(within_var * root**2 + between_var))


def _remove_season(values: Values, season: int) -> Values:
    """Subtracts from each value the mean of its point in the season."""
    phases = np.arange(len(values)) % season
    sums = np.bincount(phases, values, season)
    means: Values = sums / np.bincount(phases, minlength=season)
    return values - means[phases]
