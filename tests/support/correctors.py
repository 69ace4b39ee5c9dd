"""Correctors with random weights."""

import numpy as np

from charloom_codec.model.corrector import CATEGORIES, COUNTS, INPUTS, UNITS, Corrector


def random_corrector(seed: int, largest: int = 2_000) -> Corrector:
    """Returns a corrector whose 16-bit weights are at most ``largest``; with large ones, sums wrap around."""
    random = np.random.default_rng(seed)

    def integers(limit: int, dtype: type, *shape: int) -> np.ndarray:
        return random.integers(-limit, limit + 1, shape).astype(dtype)

    return Corrector(
        integers(largest, np.int16, INPUTS, UNITS),
        integers(min(largest * 65_536, 2**31 - 1), np.int32, sum(CATEGORIES), UNITS),
        integers(largest, np.int16, UNITS),
        integers(min(largest * 65_536, 2**31 - 1), np.int32, 1),
        np.abs(integers(3_000, np.int16, COUNTS)),
    )
