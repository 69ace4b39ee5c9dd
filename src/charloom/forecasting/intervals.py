"""Widths of intervals, measured on points that a model did not see.

A model's own spread is too narrow: its coefficients are estimates. So errors k steps ahead, on points that the model
was fitted without, are divided by the spread that it gives for them, and an interval that is to hold a share of true
values is as wide as that share of those errors. This is cross-conformal prediction (Vovk, 2015) or CV+ (Barber et al.,
Predictive inference with the jackknife+, 2021), with normalized errors. Those promise coverage if the order of points
does not matter; for a series it has to be measured.

A series has few errors that tell different things: those of neighboring points and steps are much alike. So widths of
neighboring steps are averaged, they come closer to a normal distribution's the fewer errors there are, and they grow as
Student's distribution does with the degrees of freedom that the errors have.
"""

from collections.abc import Sequence
from numbers import Real
from statistics import NormalDist

import numpy as np

from charloom.arguments import check_type
from charloom.errors import SettingsError
from charloom.forecasting.series import Values

LEVELS = np.concatenate([np.arange(0.0, 0.99, 0.01), [0.99, 0.995, 0.999, 0.9999]])
"""The levels at which widths are kept; between them they are interpolated."""
_NORMAL_WIDTHS = np.array([NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS])
"""Half widths of the normal distribution's intervals, in standard deviations."""
_MEAN_NORMAL = float(np.sqrt(2 / np.pi))
"""Mean size of a normal error, in standard deviations."""
_BANDWIDTH = 0.5
"""Of the average over steps, on a logarithmic scale: steps that are half or twice as far ahead count for 0.4."""
_MAX_KNOTS = 64
_MAX_BLOCKS = 10
_MIN_BLOCKS = 4
"""If the series has no more stretches than errors overlap."""
_MIN_FREEDOM = 2.0


def check_level(level: float) -> None:
    """Raises SettingsError for a level that widths are not measured for."""
    if not isinstance(level, Real) or not 0 < level <= LEVELS[-1]:
        raise SettingsError(f"it must be above 0 and at most {LEVELS[-1]}, as 0.95", setting="level", value=level)


def sorted_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Each level once, the lowest first. Raises SettingsError or InputError for what is no level."""
    check_type(Sequence, levels=levels)
    for level in levels:
        check_level(level)
    return tuple(sorted(set(levels)))


def half_width(half_widths: Values, level: float, horizon: int) -> Values:
    """At this level, of widths by ``calibrate``: (horizon,). Steps after the last measured one are as wide as it."""
    check_level(level)
    widths = np.array([np.interp(level, LEVELS, row) for row in half_widths])
    return widths[np.minimum(np.arange(horizon), len(widths) - 1)]


def calibrate(errors: Values) -> Values:
    """Half widths of intervals in the model's spreads, from errors in units of these: (horizon, levels).

    errors: (origins, horizon), origins in the order of time; not a number where an error is not known.
    """
    sizes = np.abs(errors)
    known = np.isfinite(sizes)
    counts = known.sum(0)
    if not counts.any():  # nothing was measured: a normal distribution of little certainty
        return np.tile(_NORMAL_WIDTHS * _student_factors(_MIN_FREEDOM), (errors.shape[1], 1))
    measured = np.flatnonzero(counts)
    columns = [sizes[known[:, step], step] for step in measured]
    scales = np.array([column.mean() for column in columns])
    shapes = np.array([np.quantile(column, LEVELS) for column in columns])
    freedoms = np.array([_degrees_of_freedom(some, int(at) + 1) for some, at in zip(columns, measured, strict=True)])
    steps = np.arange(1, errors.shape[1] + 1)
    knots = np.unique(np.geomspace(1, steps[-1], _MAX_KNOTS).astype(int))
    rows = []
    for knot in knots:
        weights = counts[measured] * np.exp(-0.5 * (np.log((measured + 1) / knot) / _BANDWIDTH) ** 2)
        weights = weights / weights.sum() if weights.sum() > 0 else np.eye(len(measured))[-1]
        freedom = 1 / float(weights @ (1 / freedoms))
        normal = _NORMAL_WIDTHS * float(weights @ scales) / _MEAN_NORMAL
        doubt = 1 / (1 + freedom * (1 - LEVELS))  # the further out, the fewer errors there are
        rows.append(((1 - doubt) * (weights @ shapes) + doubt * normal) * _student_factors(freedom))
    return np.array([np.interp(np.log(steps), np.log(knots), column) for column in np.array(rows).T]).T


def _degrees_of_freedom(sizes: Values, step: int) -> float:
    """How many independent normal errors would tell as much of the errors' mean size.

    By the variance of that mean over stretches of the series, no shorter than the errors overlap if it is long
    enough. After Welch and Satterthwaite.
    """
    number = min(_MAX_BLOCKS, len(sizes), max(_MIN_BLOCKS, len(sizes) // step))
    if number < 2:
        return _MIN_FREEDOM
    means = np.array([block.mean() for block in np.array_split(sizes, number)])
    variance = float(means.var(ddof=1)) / number
    found = float(means.mean()) ** 2 / (2 * variance) if variance > 0 else np.inf
    return float(np.clip(found, _MIN_FREEDOM, len(sizes)))


def _student_factors(freedom: float) -> Values:
    """Quantiles of Student's distribution, beside the normal's: (levels,)."""
    # With x = sqrt(freedom) tan(angle) the density is a power of the cosine.
    angles = np.linspace(0.0, np.pi / 2, 4001)[:-1]
    density = np.cos(angles) ** (freedom - 1)
    shares = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    quantiles = np.sqrt(freedom) * np.tan(np.interp(LEVELS, shares / shares[-1], angles))
    return np.concatenate([quantiles[1:2] / _NORMAL_WIDTHS[1:2], quantiles[1:] / _NORMAL_WIDTHS[1:]])
