"""The corrector's network, the reference implementation of ``codec/kernels/mixing/corrector.h``."""

from collections.abc import Sequence

import numpy as np

from charloom_codec.model.corrector import CATEGORIES, Corrector

_FIRST_ROWS = tuple(sum(CATEGORIES[:i]) for i in range(len(CATEGORIES)))


def compute_correction(corrector: Corrector, inputs: Sequence[int], categories: Sequence[int]) -> int:
    """Returns the correction of a logit, in steps of 1/256.

    Args:
        corrector: Weights of the corrector.
        inputs: Inputs, (INPUTS,).
        categories: Value of each category.
    """
    rows = [first + value for first, value in zip(_FIRST_ROWS, categories, strict=True)]
    # Sums have 32 bits and wrap around, so that the order of the additions does not matter.
    sums = np.array(inputs, np.int64) @ corrector.inputs.astype(np.int64) + corrector.rows[rows].sum(0, dtype=np.int64)
    units = np.clip(_int32(sums) >> 11, 0, 32_767)
    output = np.int64(units @ corrector.output.astype(np.int64)) + int(corrector.output_bias[0])
    return int(_int32(output)) >> 15


def _int32(x: np.ndarray | np.int64) -> np.ndarray:
    return np.asarray(x).astype(np.int32).astype(np.int64)
