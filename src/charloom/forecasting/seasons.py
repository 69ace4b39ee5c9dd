"""How long a season of a series is."""

import numpy as np

from charloom.forecasting.series import Values

_LONGEST = 400
_LEAST_CORRELATION = 0.2
_PREFERENCE = 1.1
"""A longer season must correlate by so much more than a shorter one, of which it may be a multiple."""


def find_season(values: Values) -> int:
    """Points in a season, 1 where there is none: the highest peak of the differences' autocorrelation.

    A season is seen at least four times. Differences, as a trend correlates at every lag.
    """
    differences = np.diff(values)
    differences = differences - differences.mean()
    power = float(differences @ differences)
    longest = min(len(values) // 4, _LONGEST)
    if longest < 3 or power == 0:
        return 1
    correlations = np.array(
        [float(differences[lag:] @ differences[: len(differences) - lag]) / power for lag in range(longest + 1)]
    )
    season, height = 1, max(_LEAST_CORRELATION, 3 / np.sqrt(len(values))) / _PREFERENCE
    for lag in range(2, longest):
        peak = correlations[lag] > correlations[lag - 1] and correlations[lag] >= correlations[lag + 1]
        if peak and correlations[lag] > height * _PREFERENCE:
            season, height = lag, correlations[lag]
    return season
