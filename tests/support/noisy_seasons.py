"""Seasons of twelve points in noise, and settings that fit small networks to them fast."""

import numpy as np

from charloom.forecasting import ForecastSettings
from charloom.forecasting.series import Values

SETTINGS = ForecastSettings(horizon=6, epochs=3, members=4, hidden_size=8, context=16, method="network")


def noisy_seasons(length: int = 150, seed: int = 0) -> Values:
    noise = np.random.default_rng(seed).normal(0, 0.2, length)
    values: Values = 10 + np.sin(np.arange(length) * 2 * np.pi / 12) + noise
    return values
