"""Calibration of prediction intervals on held-out errors.

The spread that a model predicts is too narrow because its coefficients are estimates. Therefore the held-out errors of
each number of steps ahead are divided by their predicted spreads, and the half width of an interval is a quantile of
these normalized errors: cross-conformal prediction (Vovk, 2015), or CV+ (Barber et al., Predictive inference with the
jackknife+, 2021). Both guarantee coverage for exchangeable points only; for a series it has to be measured.

A series has few independent errors: those of neighboring points and steps are similar. Therefore widths of neighboring
steps are averaged, they approach those of a normal distribution as the number of errors decreases, and they are
multiplied by the ratio of Student's quantiles to normal ones, with the degrees of freedom of the errors.
"""

from collections.abc import Sequence
from numbers import Real
from statistics import NormalDist

import numpy as np

from charloom.errors import SettingsError
from charloom.forecasting.series import Values
from charloom_codec.arguments import check_type

LEVELS = np.concatenate([np.arange(0.0, 0.99, 0.01), [0.99, 0.995, 0.999, 0.9999]])
"""Levels of the stored widths; widths between them are interpolated."""
_NORMAL_WIDTHS = np.array([NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS])
"""Half widths of central intervals of the normal distribution, in standard deviations."""
_MEAN_NORMAL = float(np.sqrt(2 / np.pi))
"""Mean absolute value of a normal error, in standard deviations."""
_BANDWIDTH = 0.5
"""Bandwidth of the average over steps, on a logarithmic scale: half or twice as many steps have a weight of 0.4."""
_MAX_KNOTS = 64
"""Steps at which widths are computed; the others are interpolated, because widths change slowly with the step."""
_MAX_BLOCKS = 10
_MIN_BLOCKS = 4
"""Minimum number of blocks, even if they are shorter than the overlap of the errors."""
_MIN_FREEDOM = 2.0
"""Minimum degrees of freedom, also if no error was measured."""


def check_level(level: float) -> None:
    """Raises SettingsError unless the level is above 0 and at most 0.9999."""
    if not isinstance(level, Real) or not 0 < level <= LEVELS[-1]:
        raise SettingsError(
            f"it must be above 0 and at most {LEVELS[-1]}, for example 0.95", setting="level", value=level
        )


def sort_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Returns the distinct levels in ascending order. Raises SettingsError or InputError for an invalid level."""
    check_type(Sequence, levels=levels)
    for level in levels:
        check_level(level)
    return tuple(sorted(set(levels)))


def interpolate_half_width(half_widths: Values, level: float, horizon: int) -> Values:
    """Interpolates the widths of ``calibrate`` at a level. Returns (horizon,).

    Steps after the last calibrated one have its width.
    """
    check_level(level)
    widths = np.array([np.interp(level, LEVELS, row) for row in half_widths])
    return widths[np.minimum(np.arange(horizon), len(widths) - 1)]


def calibrate(errors: Values) -> Values:
    """Computes half widths of intervals from normalized errors.

    Args:
        errors: Held-out errors in units of their predicted spreads, in the order of time: (origins, horizon); NaN if
            unknown.

    Returns:
        Half widths in units of the predicted spread: (horizon, levels).
    """
    sizes = np.abs(errors)
    known = np.isfinite(sizes)
    counts = known.sum(0)
    if not counts.any():  # no errors: use a normal distribution with the fewest degrees of freedom
        return np.tile(_NORMAL_WIDTHS * _compute_student_factors(_MIN_FREEDOM), (errors.shape[1], 1))
    measured = np.flatnonzero(counts)
    columns = [sizes[known[:, step], step] for step in measured]
    # The mean size is known better than extreme quantiles, so it scales the normal part.
    scales = np.array([column.mean() for column in columns])
    shapes = np.array([np.quantile(column, LEVELS) for column in columns])
    freedoms = np.array(
        [_estimate_degrees_of_freedom(some, int(at) + 1) for some, at in zip(columns, measured, strict=True)]
    )
    # Steps without errors get widths too.
    steps = np.arange(1, errors.shape[1] + 1)
    # Truncation to ints repeats the first knots, hence np.unique.
    knots = np.unique(np.geomspace(1, steps[-1], _MAX_KNOTS).astype(int))
    rows = []
    for knot in knots:
        weights = counts[measured] * np.exp(-0.5 * (np.log((measured + 1) / knot) / _BANDWIDTH) ** 2)
        # Far from all measured steps the weights underflow: use the last measured step.
        weights = weights / weights.sum() if weights.sum() > 0 else np.eye(len(measured))[-1]
        # A harmonic mean, because the variance of an estimate decreases as 1 / freedom.
        freedom = 1 / float(weights @ (1 / freedoms))
        normal = _NORMAL_WIDTHS * float(weights @ scales) / _MEAN_NORMAL
        normal_share = 1 / (1 + freedom * (1 - LEVELS))  # few errors lie beyond a high quantile
        rows.append(
            ((1 - normal_share) * (weights @ shapes) + normal_share * normal) * _compute_student_factors(freedom)
        )
    # Knots are geometric, so interpolate over the logarithm of the step.
    return np.array([np.interp(np.log(steps), np.log(knots), column) for column in np.array(rows).T]).T


def _estimate_degrees_of_freedom(sizes: Values, step: int) -> float:
    """Estimates the number of independent normal errors whose mean absolute value would be as certain.

    Uses the variance of that mean over blocks of the series, which are at least as long as errors overlap if the series
    is long enough. Source: the approximation of Welch and Satterthwaite.
    """
    num_blocks = min(_MAX_BLOCKS, len(sizes), max(_MIN_BLOCKS, len(sizes) // step))
    if num_blocks < 2:
        return _MIN_FREEDOM
    means = np.array([block.mean() for block in np.array_split(sizes, num_blocks)])
    variance = float(means.var(ddof=1)) / num_blocks
    freedom = float(means.mean()) ** 2 / (2 * variance) if variance > 0 else np.inf
    return float(np.clip(freedom, _MIN_FREEDOM, len(sizes)))


def _compute_student_factors(freedom: float) -> Values:
    """Computes the ratios of Student's quantiles to normal ones at ``LEVELS``: (levels,)."""
    # SciPy is not a dependency. With x = sqrt(freedom) tan(angle) the density is a power of the cosine.
    angles = np.linspace(0.0, np.pi / 2, 4001)[:-1]
    density = np.cos(angles) ** (freedom - 1)
    shares = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    quantiles = np.sqrt(freedom) * np.tan(np.interp(LEVELS, shares / shares[-1], angles))
    # Both quantiles are 0 at level 0: use the ratio at the next level.
    return np.concatenate([quantiles[1:2] / _NORMAL_WIDTHS[1:2], quantiles[1:] / _NORMAL_WIDTHS[1:]])
