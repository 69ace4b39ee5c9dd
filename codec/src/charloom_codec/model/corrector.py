"""The corrector: a small feed-forward network in integers that corrects the last prediction of the mixture.

It is part of charloom, not of a model: ``benchmarks/fit_corrector.py`` has trained it on the mixture's predictions of
several texts. Engines that use another corrector compress to other bytes, so its fingerprint is part of theirs.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from charloom_codec.errors import CharloomError
from charloom_codec.model.bounds import Array

INPUTS, UNITS = 68, 32
"""Numbers of inputs and of hidden units."""
CATEGORIES = (8, 6, 16, 8)
"""Number of values of each category: decisions, orders seen, class of the match length, confidence of the network."""
COUNTS = 256
"""Numbers of bits seen that have an input."""
CORRECTOR_FOLDER = Path(__file__).parent
"""Folder of the correctors, corrector_2.safetensors for version 2 of the mixing engine."""
_FINGERPRINTS = {
    2: "b29b95c1e73cecfd2631c422b389a746e144c9b5d3584033ed62ee5fdbc218d6",
    3: "257bf2c5f3b6449120060a5c4c9557a3bb6f9d41425fce722a789a08de0d95c4",
}
"""Fingerprint of the corrector of each version of the mixing engine, except version 1, which has none."""
_SHAPES = {
    "inputs": (np.int16, (INPUTS, UNITS)),
    "rows": (np.int32, (sum(CATEGORIES), UNITS)),
    "output": (np.int16, (UNITS,)),
    "output_bias": (np.int32, (1,)),
    "log_counts": (np.int16, (COUNTS,)),
}


@dataclass(frozen=True, eq=False)
class Corrector:
    """Weights of the corrector.

    Attributes:
        inputs: Weights of the inputs, int16 (INPUTS, UNITS), with 12 fraction bits; inputs have 10.
        rows: Terms of the hidden units' sums for each value of each category, int32 (sum of CATEGORIES, UNITS), with 22
            fraction bits.
        output: Weights of the hidden units, int16 (UNITS,), with 12 fraction bits; hidden units have 11.
        output_bias: Bias of the output, int32 (1,), with 23 fraction bits.
        log_counts: Input for each number of bits seen, int16 (COUNTS,).
    """

    inputs: Array
    rows: Array
    output: Array
    output_bias: Array
    log_counts: Array

    def __post_init__(self) -> None:
        for name, (dtype, shape) in _SHAPES.items():
            array = getattr(self, name)
            array.flags.writeable = False  # engines share it
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{name} must be {np.dtype(dtype)} of shape {shape}")

    def pair_inputs(self) -> Array:
        """Returns the weights of each two inputs side by side, (INPUTS / 2, UNITS, 2), as the kernels read them."""
        return np.ascontiguousarray(self.inputs.reshape(INPUTS // 2, 2, UNITS).transpose(0, 2, 1))

    def compute_fingerprint(self) -> bytes:
        """Returns the SHA-256, 32 bytes, of all weights."""
        digest = hashlib.sha256()
        for name in _SHAPES:
            array = getattr(self, name)
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()

    def save(self, path: Path) -> None:
        """Saves the weights as safetensors."""
        # Contiguous, because safetensors writes other arrays in the order in which they are stored.
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _SHAPES}
        path.write_bytes(safetensors.numpy.save(arrays))


@functools.cache
def load_corrector(version: int) -> Corrector:
    """Returns the corrector of a version of the mixing engine.

    Raises:
        CharloomError: The file is missing or damaged: other machines could not decode what it compresses.
    """
    file = CORRECTOR_FOLDER / f"corrector_{version}.safetensors"
    try:
        corrector = Corrector(**safetensors.numpy.load(file.read_bytes()))
    except (OSError, ValueError, TypeError, safetensors.SafetensorError):
        corrector = None
    if corrector is None or corrector.compute_fingerprint().hex() != _FINGERPRINTS[version]:
        raise CharloomError(f"{file}: missing or damaged; install charloom again")
    return corrector
