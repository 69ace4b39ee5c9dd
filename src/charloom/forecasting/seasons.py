"""How long a season of a series is."""

import numpy as np

from charloom.forecasting.series import Values

_LONGEST = 400
_SPANS = (1, 2, 4, 8, 16, 32)
_LEAST_CORRELATION = 0.2
_LEAST_RISE = 0.1
"""From the lowest correlation before: a slow wave correlates at every small lag."""
_PREFERENCE = 1.2
"""A longer season must correlate by so much more than a shorter one, of which it may be a multiple."""


def find_season(values: Values) -> int:
    """Points in a season, 1 where there is none: the highest peak of the autocorrelation of differences.

    A season is seen at least four times. Differences, as a trend or a random walk correlates at every lag; over several
    spans, as over a short one a slow season drowns in noise.
    """
    longest = min(len(values) // 4, _LONGEST)
    season, height = 1, 0.0
    peaks = sorted(peak for span in _SPANS if span <= longest // 3 for peak in _peaks(values, span, longest))
    for lag, correlation in peaks:
        if correlation > height * _PREFERENCE:
            season, height = lag, correlation
    return season


def _peaks(values: Values, span: int, longest: int) -> list[tuple[int, float]]:
    """Lags at which differences over a span correlate, and how much: those beyond what chance and the span make."""
    differences = values[span:] - values[:-span]
    differences = differences - differences.mean()
    power = float(differences @ differences)
    if power == 0:
        return []
    correlations = np.array(
        [float(differences[lag:] @ differences[: len(differences) - lag]) / power for lag in range(longest + 1)]
    )
    least = max(_LEAST_CORRELATION, 3 * np.sqrt(span / len(values)))
    found = []
    for lag in range(span + 1, longest):
        here, between = correlations[lag], correlations[span + 1 : lag]
        peak = correlations[lag - 1] < here >= correlations[lag + 1]
        if peak and here > least and (not len(between) or here - between.min() > _LEAST_RISE):
            found.append((lag, float(here)))
    return found
