"""Integer models of random numbers, up to the limits of the rules."""

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

from charloom_codec.cells import CELL_NAMED
from charloom_codec.model.bounds import MAX_BIAS, MAX_ROW_SUM, compute_row_bounds
from charloom_codec.model.function_tables import fit_exp2, fit_tanh
from charloom_codec.model.integer_model import IntegerLayer, IntegerMatrix, IntegerModel

STYLES = ("trained", "wild", "saturating")
"""Kinds of numbers: as after training; any valid ones; the largest valid ones, all of one sign in a row."""


def random_model(
    seed: int, cell: str, *, hidden: int, vocabulary: int, layers: int = 1, style: str = "trained"
) -> IntegerModel:
    """Returns a model of these sizes. Tokens are bytes if 256 are enough, otherwise three bytes each."""
    random = np.random.default_rng(seed)
    gates = CELL_NAMED[cell].gates * hidden

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
        weights = (weights * np.minimum(1, MAX_ROW_SUM / np.maximum(sums, 1))).astype(np.int8)
        most = np.minimum(multiplier - 1, ((1 << 31) - 1) // ((compute_row_bounds(weights) >> shifts[0]) + 1))
        fraction = 1.0 if style == "saturating" else random.random(rows)
        return IntegerMatrix(weights, (most * fraction).astype(np.int16), np.array(shifts, np.int32))

    def bias(rows: int) -> NDArray[np.int32]:
        largest = {"trained": 4096, "wild": MAX_BIAS, "saturating": MAX_BIAS}[style]
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


def with_tokens(model: IntegerModel, tokens: list[bytes]) -> IntegerModel:
    """Returns the model with as many other tokens."""
    assert len(tokens) == model.vocabulary_size
    offsets = np.cumsum([0, *map(len, tokens)]).astype(np.int32)
    return dataclasses.replace(model, token_bytes=np.frombuffer(b"".join(tokens), np.uint8), token_offsets=offsets)


CHARACTERS = [b"", *(char.encode() for char in "\n ,.:[]0123456789abcdefghijklmnopqrstuvwxyzäöé—日本語のテキスト。🙂")]
"""Tokens of a character vocabulary, ``<unk>`` first."""


def bigram_model(text: str, tokens: list[bytes] = CHARACTERS) -> IntegerModel:
    """Returns a model of the bigrams of a text, with a little of the character before.

    Made from integers only, it is the same on every machine and with every version of numpy, as golden files require.
    Its tanh is a clipped line, its exp2 a straight line.
    """
    size = len(tokens)
    number = {token: i for i, token in enumerate(tokens)}
    ids = [number.get(char.encode(), 0) for char in text]
    counts = np.zeros((size, size), np.int64)
    for one, following in itertools.pairwise(ids):
        counts[following, one] += 1
    # One unit for each token; the share of the counts becomes the weight, in coarse steps.
    weights = (127 * counts // np.maximum(counts.sum(axis=0), 1)).astype(np.int8)
    recurrent = np.zeros((size, size), np.int8)
    state = 1
    for place in range(0, size * size, 7):
        state = (state * 1103515245 + 12345) % (1 << 31)
        recurrent.flat[place] = (state >> 16) % 64 - 32
    segment = np.arange(32)
    tanh = np.zeros((3, 32), np.int16)
    tanh[0] = np.minimum(8192 * segment, 32767)
    tanh[1] = np.where(segment < 3, 8192, np.where(segment == 3, 8191, 0))

    def matrix(values: NDArray[np.int8], shift: int) -> IntegerMatrix:
        return IntegerMatrix(values, np.full(size, 1 << 10, np.int16), np.array([8, shift], np.int32))

    return IntegerModel(
        "rnn_tanh",
        np.full((size, size), -256, np.int16) + np.eye(size, dtype=np.int16) * 4096,
        (IntegerLayer(matrix(recurrent, 14)),),
        matrix(weights, 8),
        np.zeros(size, np.int32),
        tanh,
        np.array([32767, -16384, 0, 0], np.int16),
        np.frombuffer(b"".join(tokens), np.uint8),
        np.cumsum([0, *map(len, tokens)]).astype(np.int32),
        1,
    )
