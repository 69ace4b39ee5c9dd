"""Weights of autoregressions on series of known structure."""

import numpy as np
import pytest

from charloom.forecasting.cross_validation import weigh_specs
from charloom.forecasting.regression import fit_averages


def test_a_random_walk_is_differenced_and_a_wave_is_not() -> None:
    random = np.random.default_rng(0)
    walk = random.normal(size=400).cumsum() + 0.5 * np.arange(400)
    weights = weigh_specs((walk - walk.mean()) / walk.std(), 16, 1, None)
    assert all(spec.lag == 1 for spec in weights)
    wave = np.sin(0.3 * np.arange(400)) + random.normal(0, 0.3, 400)
    weights = weigh_specs(wave, 16, 1, None)
    fixed_mean = sum(weight for spec, weight in weights.items() if spec.lag == 0)
    assert fixed_mean > 0.9
    assert sum(weights.values()) == pytest.approx(1)


def test_a_wave_without_noise_is_continued_exactly() -> None:
    wave = np.sin(0.2 * np.arange(300))
    (model,) = fit_averages(weigh_specs(wave[:200], 16, 1, None), wave[:200], [(0, 0)])
    found = model.forecast(wave, np.arange(200, 284), 16)
    expected = np.array([wave[origin : origin + 16] for origin in range(200, 284)])
    assert found == pytest.approx(expected, abs=1e-3)
