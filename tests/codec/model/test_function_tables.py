"""The tables of functions against the functions; ``reference/test_network.py`` tests them in integer arithmetic."""

import numpy as np

from charloom_codec.model.bounds import TANH_SEGMENTS
from charloom_codec.model.function_tables import fit_exp2, fit_tanh


def test_tanh() -> None:
    quadratics = fit_tanh().astype(np.float64) / 32767
    x = np.linspace(0, TANH_SEGMENTS / 4, 10_000, endpoint=False)
    segment, part = (4 * x).astype(int), 4 * x % 1
    found = sum(quadratics[degree, segment] * part**degree for degree in range(3))
    assert np.abs(found - np.tanh(x)).max() < 4e-4
    assert fit_tanh()[0, 0] == 0


def test_powers_of_two() -> None:
    x = np.linspace(0, 1, 1000)
    found = np.polynomial.Polynomial(fit_exp2().astype(np.float64) / 32767)(x)
    assert np.abs(found - 2.0**-x).max() < 2e-4
