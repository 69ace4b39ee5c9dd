"""Bounds of an integer model's numbers, within which no kernel overflows or reads outside a table.

The native kernels rely on these bounds and do not check them again: files are checked here, when they are read.
"""

import itertools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom_codec.cells import CELL_NAMED

Array: TypeAlias = NDArray[Any]

MAX_VOCABULARY = 1 << 16
"""Largest vocabulary: with more tokens, the frequencies' total of 2^22 would leave less than 64 for each token."""
MAX_ROW_SUM = (1 << 16) - 1
"""Largest sum of the magnitudes of a row's weights: times 2^15 it is below 2^31."""
MAX_ACTIVATION = (1 << 15) - 1
MAX_BIAS = 1 << 28
"""Largest magnitude of a bias. Scaled products are not larger, because the second shift is at least 3, so that sums of
three of them and more fit 32 bits."""
FIRST_SHIFTS = (0, 16)
SECOND_SHIFTS = (3, 30)
MAX_LAYERS = 64
MAX_HIDDEN = 1 << 16
MAX_TOKEN = 8
"""Maximum bytes of a token: those of a character in UTF-8 are at most 4."""

TANH_SEGMENTS = 32
UNIT_BITS = 15


def check_arrays(arrays: dict[str, Array], cell: str) -> None:
    """Raises ValueError, with the array's name, if an array violates a bound or does not fit the others."""
    # The shapes of these two determine all others, so they come first.
    offsets, weights = arrays["token_offsets"], arrays["output.weights"]
    if offsets.ndim != 1 or weights.ndim != 2:
        raise ValueError("token_offsets or output.weights has the wrong shape")
    vocabulary, hidden = len(offsets) - 1, weights.shape[1]
    if not (1 <= vocabulary <= MAX_VOCABULARY and 1 <= hidden <= MAX_HIDDEN):
        raise ValueError(
            f"the numbers of tokens and units are {vocabulary} and {hidden}: they must be from 1 to {MAX_VOCABULARY} "
            f"and from 1 to {MAX_HIDDEN}"
        )
    gates = CELL_NAMED[cell].gates * hidden
    layers = sum(name.startswith("layers.") and name.endswith(".hidden.weights") for name in arrays)
    if not 1 <= layers <= MAX_LAYERS:
        raise ValueError(f"{layers} layers: the number must be between 1 and {MAX_LAYERS}")

    _check_array(arrays, "header", np.int32, (3,))
    _check_array(arrays, "token_table", np.int16, (vocabulary, gates))
    _check_matrix(arrays, "output", (vocabulary, hidden))
    _check_bias(arrays, "output.bias", vocabulary)
    _check_array(arrays, "tanh", np.int16, (3, TANH_SEGMENTS))
    _check_array(arrays, "exp2", np.int16, (4,))
    _check_array(arrays, "token_bytes", np.uint8, (arrays["token_bytes"].size,))
    _check_array(arrays, "token_offsets", np.int32, (vocabulary + 1,))
    for layer in range(layers):
        # The first layer has no input matrix: the token table contains its products, biases included.
        _check_matrix(arrays, f"layers.{layer}.hidden", (gates, hidden))
        if layer:
            _check_matrix(arrays, f"layers.{layer}.input", (gates, hidden))
            _check_bias(arrays, f"layers.{layer}.bias", gates)
        if cell == "gru":
            _check_bias(arrays, f"layers.{layer}.candidate_bias", hidden)
    _check_tanh(arrays["tanh"])
    _check_exp2(arrays["exp2"])
    _check_tokens(arrays["token_bytes"].tobytes(), offsets.astype(np.int64))
    if not 0 <= arrays["header"][2] < vocabulary:
        raise ValueError("start_token is not in the vocabulary")


def compute_row_bounds(weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """Returns the largest magnitude of each row's product with activations, int64 (rows,)."""
    # int16 first: the magnitude of -128 does not fit int8.
    sums: NDArray[np.int64] = np.abs(weights.astype(np.int16)).sum(axis=1, dtype=np.int64)
    return sums * MAX_ACTIVATION


def _check_array(arrays: dict[str, Array], name: str, dtype: type, shape: tuple[int, ...]) -> None:
    array = arrays[name]
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")


def _check_matrix(arrays: dict[str, Array], name: str, shape: tuple[int, int]) -> None:
    _check_array(arrays, f"{name}.weights", np.int8, shape)
    _check_array(arrays, f"{name}.multipliers", np.int16, shape[:1])
    _check_array(arrays, f"{name}.shifts", np.int32, (2,))
    bounds = compute_row_bounds(arrays[f"{name}.weights"])
    if bounds.max() > MAX_ROW_SUM * MAX_ACTIVATION:
        raise ValueError(f"{name}.weights: the magnitudes of a row sum to more than {MAX_ROW_SUM}")
    first, second = arrays[f"{name}.shifts"].tolist()
    if not (FIRST_SHIFTS[0] <= first <= FIRST_SHIFTS[1] and SECOND_SHIFTS[0] <= second <= SECOND_SHIFTS[1]):
        raise ValueError(f"{name}.shifts {first}, {second} are outside {FIRST_SHIFTS}, {SECOND_SHIFTS}")
    multipliers = arrays[f"{name}.multipliers"].astype(np.int64)
    # An arithmetic shift of a negative number rounds away from zero, hence the 1.
    if multipliers.min() < 0 or (((bounds >> first) + 1) * multipliers).max() >= 1 << 31:
        raise ValueError(f"{name}.multipliers are negative, or so large that a scaled product exceeds 32 bits")


def _check_bias(arrays: dict[str, Array], name: str, size: int) -> None:
    _check_array(arrays, name, np.int32, (size,))
    # int64, because the magnitude of the least int32 does not fit int32.
    if np.abs(arrays[name].astype(np.int64)).max() > MAX_BIAS:
        raise ValueError(f"{name} contains a magnitude of more than {MAX_BIAS}")


def evaluate_polynomial(coefficients: list[Array], x: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Returns all intermediate values of Horner's scheme, with each product rounded to 15 bits as in the kernels.

    Args:
        coefficients: Coefficients in 15 fraction bits, the constant one first.
        x: Arguments in 15 fraction bits, from 0 to below 1.
    """
    values = [coefficients[-1].astype(np.int64)]
    for coefficient in coefficients[-2::-1]:
        values.append(coefficient + ((values[-1] * x + (1 << 14)) >> UNIT_BITS))
    return values


def _check_tanh(table: NDArray[np.int16]) -> None:
    # There are few arguments, so all are tried: this is a proof, not a sample.
    z = np.arange(MAX_ACTIVATION + 1)
    segment = z >> 10
    _check_range("tanh", evaluate_polynomial([row[segment] for row in table], (z & 1023) << 5))


def _check_exp2(cubic: NDArray[np.int16]) -> None:
    _check_range("exp2", evaluate_polynomial([*cubic], np.arange(4096) << 3))
    # The weight of the likeliest token, 2^8 times this, is then at least 2^22, the sum of the frequencies.
    if cubic[0] < 1 << 14:
        raise ValueError("exp2 exceeds 16 bits")


def _check_range(name: str, values: list[NDArray[np.int64]]) -> None:
    """Raises ValueError if a value exceeds 16 bits or if the last, the result, is negative."""
    if max(np.abs(v).max() for v in values) > MAX_ACTIVATION or values[-1].min() < 0:
        raise ValueError(f"{name} exceeds 16 bits")


def _check_tokens(data: bytes, offsets: NDArray[np.int64]) -> None:
    if offsets[0] != 0 or offsets[-1] != len(data) or np.diff(offsets).min() < 0:
        raise ValueError("token_offsets do not match token_bytes")
    # Only token 0 may be empty: it is <unk> in a vocabulary of characters, and is never coded.
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if any(empty != 0):
        raise ValueError(f"token {empty[-1]} has no bytes")
    if len(empty) == len(offsets) - 1:
        raise ValueError("no token has bytes")
    if np.diff(offsets).max() > MAX_TOKEN:
        raise ValueError(f"a token has more than {MAX_TOKEN} bytes")
    ends = offsets.tolist()
    tokens = sorted(data[start:end] for start, end in itertools.pairwise(ends) if start < end)
    # In this order, a token that is a prefix of others is also a prefix of its successor. A decoder could not find the
    # end of such a token.
    for token, following in itertools.pairwise(tokens):
        if following.startswith(token):
            raise ValueError("a token is a prefix of another")
