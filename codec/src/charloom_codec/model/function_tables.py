"""The tables of tanh and of powers of two, fitted once with floats and stored with each integer model."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom_codec.model.bounds import TANH_SEGMENTS

Floats: TypeAlias = NDArray[np.float64]


def fit_tanh() -> NDArray[np.int16]:
    """Returns the quadratics of ``reference.network.tanh``, each through the Chebyshev points of its segment."""
    quarters = np.arange(TANH_SEGMENTS) / 4
    rows = [_fit(lambda x, start=start: np.tanh(start + x / 4), 2) for start in quarters]  # type: ignore[misc]
    quadratics = np.rint(np.array(rows).T * 32767).astype(np.int16)
    quadratics[0, 0] = 0  # makes tanh(0) exactly 0, so that the odd function has no step there
    return quadratics


def fit_exp2() -> NDArray[np.int16]:
    """Returns the coefficients of a cubic for 2^-x between 0 and 1."""
    return np.rint(_fit(lambda x: 2.0**-x, 3) * 32767).astype(np.int16)


def _fit(function: Callable[[Floats], Floats], degree: int) -> Floats:
    """Returns the coefficients, the lowest first, of a polynomial that approximates a function between 0 and 1."""
    # Interpolation at Chebyshev points is close to the best approximation in the maximum norm.
    approximation = np.polynomial.Chebyshev.interpolate(function, degree, [0, 1])
    return np.asarray(approximation.convert(kind=np.polynomial.Polynomial).coef, np.float64)
