"""One step of an integer model in NumPy, the reference implementation, which all native kernels match bit for bit.

All numbers are integers; ``>>`` rounds down, as an arithmetic shift does. Formats, as numbers of fraction bits:

- states of bounded cells, gates and the results of tanh: 15 (32,767 is 1.0);
- arguments of tanh: 12, saturated to int16, so from -8 to 8; a sigmoid is (tanh(z / 2) + 1) / 2, and its argument is
  stored halved;
- the cell state of an LSTM, and the hidden state's share in the candidate of a GRU: 11, saturated to int16, so from -16
  to 16;
- states of a relu layer: chosen for each model, and saturated;
- logits: 12, of base 2.

Biases compensate for shifts, which round down (``quantization``).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom_codec.model.integer_model import FREQUENCY_BITS, Int32s, IntegerMatrix, IntegerModel

Integers: TypeAlias = NDArray[np.int64]
Frequencies: TypeAlias = NDArray[np.uint32]


class ReferenceNetwork:
    """Network that reads tokens in several independent lanes.

    Attributes:
        frequencies: Frequencies of the next token, uint32 (lanes, vocabulary). Each row sums to 2^FREQUENCY_BITS.
    """

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        """Initializes the states to zero and reads ``start_token`` in each lane."""
        self._model = model
        shape = len(model.layers), lanes, model.hidden_size
        self._hidden, self._cell = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.frequencies = np.empty((lanes, model.vocabulary_size), np.uint32)
        self.step(np.full(lanes, model.start_token))

    def step(self, tokens: Integers) -> None:
        """Reads a token in each lane.

        Args:
            tokens: Token ids, (lanes,). A lane with a negative one is not changed.
        """
        model, table = self._model, self._model.tanh
        active = np.flatnonzero(tokens >= 0)
        below = np.empty(0, np.int64)
        for number, layer in enumerate(model.layers):
            h = self._hidden[number, active]
            if layer.input is None or layer.bias is None:
                from_input = model.token_table[tokens[active]].astype(np.int64)
            else:
                from_input = layer.bias + multiply(below, layer.input)
            from_hidden = multiply(h, layer.hidden)
            if model.cell == "rnn_relu":
                h = np.maximum(saturate(from_input + from_hidden), 0)
            elif model.cell == "rnn_tanh":
                h = tanh(from_input + from_hidden, table)
            elif model.cell == "gru":
                assert layer.candidate_bias is not None
                h = _gru(from_input, from_hidden, layer.candidate_bias, h, table)
            else:
                h, self._cell[number, active] = _lstm(from_input + from_hidden, self._cell[number, active], table)
            self._hidden[number, active] = below = h
        self.frequencies[active] = compute_frequencies(model.output_bias + multiply(below, model.output), model.exp2)


def multiply(x: Integers, matrix: IntegerMatrix) -> Integers:
    """Returns the scaled products of ``x``, (lanes, columns), and the rows of a matrix: (lanes, rows)."""
    # int64 shows no overflow; the bounds of the matrix ensure that 32 bits, as in the kernels, give the same.
    sums = x @ matrix.weights.T.astype(np.int64)
    scaled: Integers = ((sums >> matrix.shifts[0]) * matrix.multipliers) >> matrix.shifts[1]
    return scaled


def saturate(x: Integers) -> Integers:
    """Returns the nearest numbers within int16."""
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def multiply_q15(x: Integers, y: Integers | int) -> Integers:
    """Returns the products of ``x`` and numbers with 15 fraction bits, rounded to nearest."""
    return (x * y + (1 << 14)) >> 15


def tanh(z: Integers, table: NDArray[np.int16]) -> Integers:
    """Returns the hyperbolic tangent, in format 15, by a quadratic on each segment of 1/4 of the positive half.

    Args:
        z: Arguments in format 12, not saturated yet.
        table: Coefficients of the quadratics, (3, segments).
    """
    z = saturate(z)
    size = np.minimum(np.abs(z), (1 << 15) - 1)  # the magnitude of -32,768 does not fit int16
    segment, x = size >> 10, (size & 1023) << 5
    constant, slope, curvature = (row[segment].astype(np.int64) for row in table)
    result: Integers = constant + multiply_q15(slope + multiply_q15(curvature, x), x)
    return np.where(z < 0, -result, result)


def sigmoid(half_z: Integers, table: NDArray[np.int16]) -> Integers:
    """Returns the sigmoid of twice ``half_z``, which is in format 12."""
    return (tanh(half_z, table) >> 1) + (1 << 14)


def _gru(
    from_input: Integers, from_hidden: Integers, candidate_bias: Int32s, h: Integers, table: NDArray[np.int16]
) -> Integers:
    size = h.shape[1]
    gates = sigmoid(from_input[:, : 2 * size] + from_hidden[:, : 2 * size], table)
    reset, update = gates[:, :size], gates[:, size:]
    candidate_h = saturate(candidate_bias + from_hidden[:, 2 * size :])
    candidate = tanh(from_input[:, 2 * size :] + 2 * multiply_q15(candidate_h, reset), table)
    return saturate(multiply_q15(candidate, 32767 - update) + multiply_q15(h, update))


def _lstm(z: Integers, c: Integers, table: NDArray[np.int16]) -> tuple[Integers, Integers]:
    z_input, z_forget, z_candidate, z_output = np.split(z, 4, axis=1)
    change = multiply_q15(sigmoid(z_input, table), tanh(z_candidate, table))
    c = saturate(multiply_q15(c, sigmoid(z_forget, table)) + multiply_q15(change, 1 << 11))
    return multiply_q15(tanh(2 * c, table), sigmoid(z_output, table)), c


def compute_frequencies(logits: Integers, exp2: NDArray[np.int16]) -> Frequencies:
    """Returns the frequencies of logits, uint32 (lanes, vocabulary).

    A range coder needs that every frequency is at least 1 and that encoder and decoder agree on the sum, which is
    2^FREQUENCY_BITS for each lane.
    """
    total, vocabulary = 1 << FREQUENCY_BITS, logits.shape[1]
    # Beyond 24 halvings a weight is zero, and the shift must stay below 32.
    below = np.minimum(logits.max(axis=1, keepdims=True) - logits, (24 << 12) - 1)
    x = (below & 4095) << 3
    c0, c1, c2, c3 = exp2.astype(np.int64).tolist()
    power = c0 + multiply_q15(c1 + multiply_q15(c2 + multiply_q15(x, c3), x), x)  # 2^-x, format 15
    weights = (power << 8) >> (below >> 12)
    # Less than 2^32, because the weight of the likeliest token alone is at least 2^22.
    share = ((total - vocabulary) << 32) // weights.sum(axis=1, keepdims=True)
    result: Integers = 1 + ((weights * share) >> 32)
    likeliest = logits.argmax(axis=1)  # the first of equal ones
    # What rounding down leaves over changes the largest frequency least.
    result[np.arange(len(result)), likeliest] += total - result.sum(axis=1)
    return result.astype(np.uint32)
