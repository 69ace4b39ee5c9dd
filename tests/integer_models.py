"""Integer models of random numbers, within the rules and up to their edges."""

import numpy as np
from numpy.typing import NDArray

from charloom.codec.integer_model import CELLS, GATES, IntegerLayer, IntegerMatrix, IntegerModel
from charloom.codec.integer_model_checks import LARGEST_BIAS, LARGEST_ROW_SUM, row_bounds
from charloom.codec.quantization import fit_exp2, fit_tanh

STYLES = ("trained", "wild", "saturating")
"""Numbers as training leaves them; anything that is allowed; as large as is allowed, all of one sign in a row."""


def random_model(
    seed: int, cell: str, *, hidden: int, vocabulary: int, layers: int = 1, style: str = "trained"
) -> IntegerModel:
    """A model of these sizes. Tokens are bytes where 256 are enough, else three bytes each."""
    random = np.random.default_rng(seed)
    gates = GATES[cell] * hidden
    assert cell in CELLS

    def matrix(rows: int) -> IntegerMatrix:
        if style == "trained":
            weights = random.normal(0, 30, (rows, hidden)).round().clip(-127, 127)
            multiplier, shifts = 1 << 15, (min(12, int(np.log2(hidden) / 2 + 7)), 13)
        elif style == "wild":
            weights = random.integers(-128, 128, (rows, hidden)) * (random.random((rows, 1)) < 0.9)
            multiplier, shifts = 1 << 15, (int(random.integers(0, 17)), int(random.integers(3, 31)))
        else:
            weights = np.full((rows, hidden), 127) * random.choice([-1, 1], (rows, 1))
            multiplier, shifts = 1 << 15, (int(random.integers(10, 17)), int(random.integers(3, 16)))
        sums = np.abs(weights).sum(axis=1, keepdims=True)
        weights = (weights * np.minimum(1, LARGEST_ROW_SUM / np.maximum(sums, 1))).astype(np.int8)
        most = np.minimum(multiplier - 1, ((1 << 31) - 1) // ((row_bounds(weights) >> shifts[0]) + 1))
        fraction = 1.0 if style == "saturating" else random.random(rows)
        return IntegerMatrix(weights, (most * fraction).astype(np.int16), np.array(shifts, np.int32))

    def bias(rows: int) -> NDArray[np.int32]:
        largest = {"trained": 4096, "wild": LARGEST_BIAS, "saturating": LARGEST_BIAS}[style]
        if style == "saturating":
            return random.choice([-largest, largest], rows).astype(np.int32)
        return random.integers(-largest, largest + 1, rows).astype(np.int32)

    table_limit = 8192 if style == "trained" else 32767
    tokens = [bytes([v]) if vocabulary <= 256 else bytes([255, v >> 8, v & 255]) for v in range(vocabulary)]
    return IntegerModel(
        cell,
        random.integers(-table_limit - 1, table_limit + 1, (vocabulary, gates)).astype(np.int16),
        tuple(
            IntegerLayer(
                matrix(gates),
                matrix(gates) if layer else None,
                bias(gates) if layer else None,
                bias(hidden) if cell == "gru" else None,
            )
            for layer in range(layers)
        ),
        matrix(vocabulary),
        bias(vocabulary),
        fit_tanh(),
        fit_exp2(),
        np.frombuffer(b"".join(tokens), np.uint8),
        np.cumsum([0, *map(len, tokens)]).astype(np.int32),
        int(random.integers(vocabulary)),
    )
