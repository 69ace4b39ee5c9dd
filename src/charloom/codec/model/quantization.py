"""From a trained model to integers, once. The only file of the codec that knows floats.

Weights become 8-bit integers with a scale for each row. Scales, biases and the tables of tanh and exp are stored as
integers beside them, so that no machine ever has to compute them again. Formats are those of ``reference.network``.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.codec.model.bounds import (
    FIRST_SHIFTS,
    MAX_BIAS,
    MAX_HIDDEN,
    MAX_LAYERS,
    MAX_ROW_SUM,
    MAX_VOCABULARY,
    SECOND_SHIFTS,
    TANH_SEGMENTS,
    row_bounds,
)
from charloom.codec.model.integer_model import IntegerLayer, IntegerMatrix, IntegerModel
from charloom.errors import Argument, InputError
from charloom.models.language_model import LanguageModel
from charloom.models.predictor import check_weights, predicting
from charloom.recurrence.equations import CellWeights
from charloom.settings.cells import CELL_OF_MODE
from charloom.text.vocabulary import Vocabulary

Floats: TypeAlias = NDArray[np.float64]

_BOUNDED, _ARGUMENT, _CANDIDATE_SHARE, _LOGITS = 15, 12, 11, 12  # formats
_COARSEST_RELU = 5  # states up to 1,024: with more the logits would leave 32 bits
_MAX_MULTIPLIER = (1 << 15) - 1


class _Scaled(NamedTuple):
    """A matrix in integers, and what its shifts lose by rounding down, (rows,), in units of the result."""

    matrix: IntegerMatrix
    lost: Floats


def quantize(model: LanguageModel) -> IntegerModel:
    """The model in integers. Raises InputError for one that cannot be had so."""
    if problem := model.unknown_part():
        raise InputError(f"this model cannot be compressed with: {problem}")
    if model.layer.proj_size:
        raise InputError("layers with proj_size cannot be made integers: train a model without it")
    if len(model.vocabulary) > MAX_VOCABULARY:
        raise InputError(
            f"a vocabulary of {len(model.vocabulary)} tokens is too large for compression (at most "
            f"{MAX_VOCABULARY}): train with ",
            Argument("unit", "byte"),
        )
    for name, size, largest in (
        ("num_layers", model.layer.num_layers, MAX_LAYERS),
        ("hidden_size", model.layer.hidden_size, MAX_HIDDEN),
    ):
        if size > largest:
            raise InputError(
                f"too large for compression (at most {largest}): train a smaller model", setting=name, value=size
            )
    if model.vocabulary.unit == "char" and len(model.vocabulary) < 2:
        raise InputError("the model's vocabulary has no characters: there is nothing to compress with")
    check_weights(model)
    try:
        return _integers(model)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # a bound of model.bounds; float64 weights beyond all bounds
        raise InputError(f"the model cannot be made integers: {error}") from None


def _integers(model: LanguageModel) -> IntegerModel:
    cell = CELL_OF_MODE[model.layer.mode].name
    weights = model.layer.named_weights()
    if weights is None:
        raise InputError("the model's layer has no weights of its own: they were replaced or removed")
    # Each token's share of the first layer's gates, (vocabulary, gates * hidden), without biases.
    token_shares = _floats(weights[0].input).T
    if model.embedding is not None:
        token_shares = _floats(model.embedding.weight) @ token_shares
    formats = _relu_formats(model, token_shares) if cell == "rnn_relu" else [_BOUNDED] * len(weights)
    first, bias = _layer(cell, weights[0], formats[0], None)
    layers = [first]
    for own, below, layer_weights in zip(formats[1:], formats[:-1], weights[1:], strict=True):
        layers.append(_layer(cell, layer_weights, own, below)[0])
    shares = token_shares * _gate_formats(cell, model.layer.hidden_size, formats[0]) + bias
    to_logits = 2.0**_LOGITS / np.log(2)
    output_weights = _floats(model.output.weight)
    output = _matrix(output_weights, np.full(len(output_weights), to_logits * 2.0 ** -formats[-1]))
    token_bytes, token_offsets, begin_token = _tokens(model.vocabulary)
    return IntegerModel(
        cell,
        np.rint(shares).clip(-(1 << 15), (1 << 15) - 1).astype(np.int16),
        tuple(layers),
        output.matrix,
        _rounded(_floats(model.output.bias) * to_logits + output.lost),
        fit_tanh(),
        fit_exp2(),
        token_bytes,
        token_offsets,
        begin_token,
    )


def _layer(cell: str, weights: CellWeights, own: int, below: int | None) -> tuple[IntegerLayer, Floats]:
    """A layer in integers, from the formats of its states and of those below; and its biases, scaled.

    below: None for the first layer, whose input is the token table. The biases, (gates * hidden,), are added to that.
    """
    size = weights.hidden.shape[1]
    result = _gate_formats(cell, size, own)
    hidden_result = result.copy()
    joined = np.ones(len(result))  # gates to whose argument the hidden state's share is simply added
    if cell == "gru":
        hidden_result[2 * size :], joined[2 * size :] = 2.0**_CANDIDATE_SHARE, 0
    hidden = _matrix(_floats(weights.hidden), hidden_result * 2.0**-own)
    input_bias, hidden_bias = (0.0 if b is None else _floats(b) for b in (weights.input_bias, weights.hidden_bias))
    of_hidden = hidden_bias * hidden_result + hidden.lost
    bias = input_bias * result + of_hidden * joined
    candidate_bias = _rounded(of_hidden[2 * size :]) if cell == "gru" else None
    if below is None:
        return IntegerLayer(hidden.matrix, candidate_bias=candidate_bias), bias
    from_input = _matrix(_floats(weights.input), result * 2.0**-below)
    return IntegerLayer(hidden.matrix, from_input.matrix, _rounded(bias + from_input.lost), candidate_bias), bias


def _floats(parameter: torch.Tensor) -> Floats:
    return parameter.detach().cpu().double().numpy()


def _gate_formats(cell: str, size: int, relu_format: int) -> Floats:
    """What each gate's argument is multiplied by, (gates * hidden,): those of sigmoids are stored halved."""
    tanh, sigmoid = 2.0**_ARGUMENT, 2.0 ** (_ARGUMENT - 1)
    gates = {
        "rnn_tanh": [tanh],
        "rnn_relu": [2.0**relu_format],
        "gru": [sigmoid, sigmoid, tanh],
        "lstm": [sigmoid, sigmoid, tanh, sigmoid],
    }[cell]
    return np.repeat(gates, size)


def _matrix(weights: Floats, scale: Floats) -> _Scaled:
    """A matrix whose product with integers, scaled, is ``scale`` times that of ``weights``; scale: (rows,)."""
    largest, sums = np.abs(weights).max(axis=1), np.abs(weights).sum(axis=1)
    step = np.maximum(largest / 127, sums / max(MAX_ROW_SUM - weights.shape[1] / 2 - 1, 1))
    step[step == 0] = 1
    integers = np.rint(weights / step[:, None]).clip(-127, 127).astype(np.int8)
    bounds, factors = row_bounds(integers), step * scale
    for first in range(FIRST_SHIFTS[0], FIRST_SHIFTS[1] + 1):
        ratios = factors * 2.0**first
        second = int(np.floor(np.log2(_MAX_MULTIPLIER / ratios.max())))
        second = min(second, SECOND_SHIFTS[1])
        if second < SECOND_SHIFTS[0]:
            break
        multipliers = np.rint(ratios * 2.0**second).astype(np.int64)
        if (((bounds >> first) + 1) * multipliers).max() < 1 << 31:
            matrix = IntegerMatrix(integers, multipliers.astype(np.int16), np.array([first, second], np.int32))
            # Both shifts round down: on average by half a unit, but for sums that fill no unit of the first.
            return _Scaled(matrix, 0.5 + 0.5 * (1 - 2.0**-first) * multipliers * 2.0**-second)
    raise InputError(f"weights as large as {largest.max():.3g} cannot be made integers: train with weight decay")


def _rounded(x: Floats) -> NDArray[np.int32]:
    return np.rint(x).clip(-MAX_BIAS, MAX_BIAS).astype(np.int32)


def _relu_formats(model: LanguageModel, table: Floats) -> list[int]:
    """For each layer the finest format that holds twice what its states reach on text that the model makes itself."""
    largest = np.zeros(model.layer.num_layers)
    generator = torch.Generator().manual_seed(0)
    with predicting(model):
        state = model.begin_state(16)
        ids = torch.randint(len(model.vocabulary), (16,), generator=generator, device="cpu")
        for _ in range(400):
            logits, state = model.step(ids.to(model.device), state)
            assert isinstance(state, torch.Tensor)
            largest = np.maximum(largest, _floats(state.abs().amax(dim=(1, 2))))
            ids = torch.multinomial(torch.softmax(logits.nan_to_num(0, 0, 0), 1).cpu(), 1, generator=generator)[:, 0]
    needed = 2 * np.nan_to_num(largest, nan=1e9, posinf=1e9)  # states may grow without bound
    needed[0] = max(needed[0], np.abs(table).max())
    return [int(np.clip(np.floor(np.log2(32767 / max(x, 1e-3))), _COARSEST_RELU, _BOUNDED)) for x in needed]


def _tokens(vocabulary: Vocabulary) -> tuple[NDArray[np.uint8], NDArray[np.int32], int]:
    """The tokens' bytes, where each begins, and the token that stands before a text."""
    tokens = [
        token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass") for token in vocabulary.tokens
    ]
    if vocabulary.unknown_id is not None:
        tokens[vocabulary.unknown_id] = b""
    offsets = np.cumsum([0, *map(len, tokens)]).astype(np.int32)
    begin = next((tokens.index(token) for token in (b"\n", b" ") if token in tokens), 1 % len(tokens))
    return np.frombuffer(b"".join(tokens), np.uint8), offsets, begin


def fit_tanh() -> NDArray[np.int16]:
    """The quadratics of ``reference.network.tanh``, each through Chebyshev's points of its segment."""
    quarters = np.arange(TANH_SEGMENTS) / 4
    rows = [_fit(lambda x, begin=begin: np.tanh(begin + x / 4), 2) for begin in quarters]  # type: ignore[misc]
    quadratics = np.rint(np.array(rows).T * 32767).astype(np.int16)
    quadratics[0, 0] = 0
    return quadratics


def fit_exp2() -> NDArray[np.int16]:
    """The cubic for 2^-x between 0 and 1."""
    return np.rint(_fit(lambda x: 2.0**-x, 3) * 32767).astype(np.int16)


def _fit(function: Callable[[Floats], Floats], degree: int) -> Floats:
    """Coefficients, the lowest first, of a polynomial near a function between 0 and 1."""
    near = np.polynomial.Chebyshev.interpolate(function, degree, [0, 1])
    return np.asarray(near.convert(kind=np.polynomial.Polynomial).coef, np.float64)
