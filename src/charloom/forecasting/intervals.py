"""How wide intervals must be: measured on points that a member did not see.

A model's own spread is too narrow: its coefficients are estimates. So the errors k steps ahead of each member, on the
block that it was fitted without, are divided by the spread of its paths, and an interval that is to hold a share of
true values is as wide as that share of those errors. This is cross-conformal prediction (Vovk, 2015) or CV+ (Barber et
al., Predictive inference with the jackknife+, 2021), with normalised errors. Those promise coverage where the order of
points does not matter; for a series it has to be measured.
"""

from dataclasses import dataclass

import numpy as np

from charloom.errors import SettingsError
from charloom.forecasting.series import Values

LEVELS = np.concatenate([np.arange(0.0, 0.99, 0.01), [0.99, 0.995, 0.999, 1.0]])
"""The levels at which widths are kept; between them they are interpolated."""
_NEIGHBOURS = 1.15
"""Errors of neighbouring horizons, up to this factor away, count too: there are few, and they are much alike."""
_NORMAL = 1.2815515655446004
"""Half the width of a normal distribution's middle 80 %."""


@dataclass(frozen=True)
class Calibration:
    """Half widths of intervals in spreads of paths.

    Attributes:
        half_widths: (horizon, levels), for the levels of ``LEVELS``.
    """

    half_widths: Values

    def half_width(self, level: float, horizon: int) -> Values:
        """(horizon,), for each step ahead; those after the last that was measured are as wide as that one."""
        if not 0 < level < 1:
            raise SettingsError("it must be between 0 and 1, as 0.95", setting="level", value=level)
        widths = np.array([np.interp(level, LEVELS, row) for row in self.half_widths])
        return widths[np.minimum(np.arange(horizon), len(widths) - 1)]


def calibrate(errors: list[Values]) -> Calibration:
    """From the errors of each step ahead, in units of the spread foretold; a step without any is as the one before."""
    rows: list[Values] = []
    for step in range(1, len(errors) + 1):
        near = range(int(np.ceil(step / _NEIGHBOURS)), min(int(step * _NEIGHBOURS), len(errors)) + 1)
        sizes = np.abs(np.concatenate([errors[other - 1] for other in near]))
        alone = len(errors[step - 1])
        if not len(sizes):
            rows.append(rows[-1] if rows else _normal_widths())
            continue
        # As if the next error were one more of them: so many, that it is among the first share * (n + 1) of n.
        shares = np.minimum(LEVELS * (1 + 1 / max(alone, 1)), 1.0)
        rows.append(np.quantile(sizes, shares))
    return Calibration(np.array(rows))


def _normal_widths() -> Values:
    """Of a normal distribution, by its logistic approximation; infinite nowhere."""
    levels = np.minimum(LEVELS, 0.9999)
    widths: Values = np.log((1 + levels) / (1 - levels)) / np.log(9) * _NORMAL
    return widths
