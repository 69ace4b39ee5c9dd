"""One step of an integer model in plain numpy: the specification that every native kernel must equal bit for bit.

Everything is whole numbers; ``>>`` rounds down, as an arithmetic shift does. Formats, as exponents of two:

- states of bounded cells, gates and the results of tanh: 15 (32,767 is 1);
- arguments of tanh: 12, saturated to int16, so -8 to 8; a sigmoid is (tanh(z / 2) + 1) / 2, and its argument is stored
  halved;
- an LSTM's memory cell, and the share of a GRU's hidden state in its candidate: 11, saturated to int16, so -16 to 16;
- states of a relu layer: chosen for each model, and saturated;
- logits: 12, to the base of 2.

Biases make up for the shifts that round down (``quantization``).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom.codec.model.integer_model import FREQUENCY_BITS, Int32s, IntegerMatrix, IntegerModel

Integers: TypeAlias = NDArray[np.int64]
Frequencies: TypeAlias = NDArray[np.uint32]


class ReferenceNetwork:
    """A network that reads tokens in several lanes beside each other.

    Attributes:
        frequencies: Of the next token, uint32 (lanes, vocabulary); each row sums to 2 to the power of FREQUENCY_BITS.
    """

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        """The state is zero, and ``begin_token`` is read."""
        self._model = model
        shape = len(model.layers), lanes, model.hidden_size
        self._hidden, self._cell = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.frequencies = np.empty((lanes, model.vocabulary_size), np.uint32)
        self.step(np.full(lanes, model.begin_token))

    def step(self, tokens: Integers) -> None:
        """Reads a token for each lane, (lanes,); a lane whose token is negative stays as it is."""
        model, table = self._model, self._model.tanh
        active = np.flatnonzero(tokens >= 0)
        below = np.empty(0, np.int64)
        for number, layer in enumerate(model.layers):
            h = self._hidden[number, active]
            if layer.input is None or layer.bias is None:
                from_input = model.token_table[tokens[active]].astype(np.int64)
            else:
                from_input = layer.bias + product(below, layer.input)
            from_hidden = product(h, layer.hidden)
            if model.cell == "rnn_relu":
                h = np.maximum(saturated(from_input + from_hidden), 0)
            elif model.cell == "rnn_tanh":
                h = tanh(from_input + from_hidden, table)
            elif model.cell == "gru":
                assert layer.candidate_bias is not None
                h = _gru(from_input, from_hidden, layer.candidate_bias, h, table)
            else:
                h, self._cell[number, active] = _lstm(from_input + from_hidden, self._cell[number, active], table)
            self._hidden[number, active] = below = h
        self.frequencies[active] = frequencies(model.output_bias + product(below, model.output), model.exp2)


def product(x: Integers, matrix: IntegerMatrix) -> Integers:
    """Of x (lanes, columns) with each row of the matrix, scaled; (lanes, rows)."""
    sums = x @ matrix.weights.T.astype(np.int64)
    scaled: Integers = ((sums >> matrix.shifts[0]) * matrix.multipliers) >> matrix.shifts[1]
    return scaled


def saturated(x: Integers) -> Integers:
    """The nearest numbers of int16."""
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def times(x: Integers, y: Integers | int) -> Integers:
    """The product of two numbers of which one is of format 15, rounded to nearest."""
    return (x * y + (1 << 14)) >> 15


def tanh(z: Integers, table: NDArray[np.int16]) -> Integers:
    """The hyperbolic tangent of z (format 12, saturated here), by a quadratic on each quarter of the positive half."""
    z = saturated(z)
    size = np.minimum(np.abs(z), (1 << 15) - 1)
    segment, x = size >> 10, (size & 1023) << 5
    at_start, slope, bend = (row[segment].astype(np.int64) for row in table)
    result: Integers = at_start + times(slope + times(bend, x), x)
    return np.where(z < 0, -result, result)


def sigmoid(half: Integers, table: NDArray[np.int16]) -> Integers:
    """Sigmoid of twice ``half`` (format 12)."""
    return (tanh(half, table) >> 1) + (1 << 14)


def _gru(
    from_input: Integers, from_hidden: Integers, candidate_bias: Int32s, h: Integers, table: NDArray[np.int16]
) -> Integers:
    size = h.shape[1]
    gates = sigmoid(from_input[:, : 2 * size] + from_hidden[:, : 2 * size], table)
    reset, update = gates[:, :size], gates[:, size:]
    candidate_h = saturated(candidate_bias + from_hidden[:, 2 * size :])
    candidate = tanh(from_input[:, 2 * size :] + 2 * times(candidate_h, reset), table)
    return saturated(times(candidate, 32767 - update) + times(h, update))


def _lstm(z: Integers, c: Integers, table: NDArray[np.int16]) -> tuple[Integers, Integers]:
    z_input, z_forget, z_candidate, z_output = np.split(z, 4, axis=1)
    added = times(sigmoid(z_input, table), tanh(z_candidate, table))
    c = saturated(times(c, sigmoid(z_forget, table)) + times(added, 1 << 11))
    return times(tanh(2 * c, table), sigmoid(z_output, table)), c


def frequencies(logits: Integers, exp2: NDArray[np.int16]) -> Frequencies:
    """Logits (lanes, vocabulary) to frequencies: each at least 1, in all 2 to the power of ``FREQUENCY_BITS``."""
    total, vocabulary = 1 << FREQUENCY_BITS, logits.shape[1]
    below = np.minimum(logits.max(axis=1, keepdims=True) - logits, (24 << 12) - 1)
    x = (below & 4095) << 3
    c0, c1, c2, c3 = exp2.astype(np.int64).tolist()
    power = c0 + times(c1 + times(c2 + times(x, c3), x), x)  # 2^-x, format 15
    weights = (power << 8) >> (below >> 12)
    # Less than 2^32, for the likeliest token's weight alone is 2^22 at least.
    share = ((total - vocabulary) << 32) // weights.sum(axis=1, keepdims=True)
    result: Integers = 1 + ((weights * share) >> 32)
    likeliest = logits.argmax(axis=1)  # the first of them
    result[np.arange(len(result)), likeliest] += total - result.sum(axis=1)
    return result.astype(np.uint32)
