"""Quantization of a trained model to integers; all that compression computes later is integers.

Weights become 8-bit integers with a scale for each row. Scales, biases and the tables of tanh and exp are stored as
integers too, so that no machine computes them again. ``reference.network`` specifies the formats.
"""

from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import Argument, InputError
from charloom.layers.read_weights import named_weights
from charloom.models.language_model import LanguageModel
from charloom.models.predictor import check_weights, predicting
from charloom.recurrence.equations import CellWeights
from charloom.text.vocabulary import Vocabulary
from charloom_codec.cells import CELL_OF_MODE
from charloom_codec.model.bounds import (
    FIRST_SHIFTS,
    MAX_BIAS,
    MAX_HIDDEN,
    MAX_LAYERS,
    MAX_ROW_SUM,
    MAX_VOCABULARY,
    SECOND_SHIFTS,
    compute_row_bounds,
)
from charloom_codec.model.function_tables import fit_exp2, fit_tanh
from charloom_codec.model.integer_model import IntegerLayer, IntegerMatrix, IntegerModel

Floats: TypeAlias = NDArray[np.float64]

_BOUNDED, _ARGUMENT, _CANDIDATE_SHARE, _LOGITS = 15, 12, 11, 12  # formats: numbers of fraction bits
_MIN_RELU_FORMAT = 5  # fraction bits of states up to 1,024; with larger ones the logits would exceed 32 bits
_MAX_MULTIPLIER = (1 << 15) - 1


class _Scaled(NamedTuple):
    """Matrix in integers, and the mean error of its shifts, which round down, (rows,), in units of the result."""

    matrix: IntegerMatrix
    rounding_error: Floats


def quantize(model: LanguageModel | Path) -> IntegerModel:
    """Returns a model, or that in a folder, in integers. Raises InputError if it cannot be represented.

    ``charloom_codec`` finds this function as an entry point.
    """
    if isinstance(model, Path):
        model = LanguageModel.load(model)
    if problem := model.describe_unsupported_part():
        raise InputError(f"this model cannot be used for compression: {problem}")
    if model.layer.proj_size:
        raise InputError("layers with proj_size cannot be quantized: train a model without proj_size")
    if len(model.vocabulary) > MAX_VOCABULARY:
        raise InputError(
            f"a vocabulary of {len(model.vocabulary)} tokens is too large for compression (maximum: "
            f"{MAX_VOCABULARY}): train with ",
            Argument("unit", "byte"),
        )
    for name, size, largest in (
        ("num_layers", model.layer.num_layers, MAX_LAYERS),
        ("hidden_size", model.layer.hidden_size, MAX_HIDDEN),
    ):
        if size > largest:
            raise InputError(
                f"too large for compression (maximum: {largest}): train a smaller model", setting=name, value=size
            )
    if model.vocabulary.unit == "char" and len(model.vocabulary) < 2:
        raise InputError("the model's vocabulary has no characters: train the model on a text that is not empty")
    check_weights(model)
    try:
        return _build_integer_model(model)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # a bound of model.bounds; float64 weights beyond all bounds
        raise InputError(f"the model cannot be quantized: {error}") from None


def _build_integer_model(model: LanguageModel) -> IntegerModel:
    cell = CELL_OF_MODE[model.layer.mode].name
    weights = named_weights(model.layer)
    if weights is None:
        raise InputError(
            "weights of the model's layer were replaced or removed: use a model whose layer has its original parameters"
        )
    # Each token's share of the first layer's gates, (vocabulary, gates * hidden), without biases.
    token_shares = _to_float64(weights[0].input).T
    if model.embedding is not None:
        # Embedding and input weights become one table: the product of two roundings would be less exact.
        token_shares = _to_float64(model.embedding.weight) @ token_shares
    formats = _choose_relu_formats(model, token_shares) if cell == "rnn_relu" else [_BOUNDED] * len(weights)
    first, bias = _quantize_layer(cell, weights[0], formats[0], None)
    layers = [first]
    for own_format, format_below, layer_weights in zip(formats[1:], formats[:-1], weights[1:], strict=True):
        layers.append(_quantize_layer(cell, layer_weights, own_format, format_below)[0])
    shares = token_shares * _compute_gate_scales(cell, model.layer.hidden_size, formats[0]) + bias
    # Logits of base 2, so that frequencies are computed by shifts.
    logit_scale = 2.0**_LOGITS / np.log(2)
    output_weights = _to_float64(model.output.weight)
    output = _quantize_matrix(output_weights, np.full(len(output_weights), logit_scale * 2.0 ** -formats[-1]))
    token_bytes, token_offsets, start_token = _encode_tokens(model.vocabulary)
    return IntegerModel(
        cell,
        np.rint(shares).clip(-(1 << 15), (1 << 15) - 1).astype(np.int16),
        tuple(layers),
        output.matrix,
        _round_bias(_to_float64(model.output.bias) * logit_scale + output.rounding_error),
        fit_tanh(),
        fit_exp2(),
        token_bytes,
        token_offsets,
        start_token,
    )


def _quantize_layer(
    cell: str, weights: CellWeights, own_format: int, format_below: int | None
) -> tuple[IntegerLayer, Floats]:
    """Returns a layer in integers, and its biases, (gates * hidden,), in the formats of the gates' arguments.

    Args:
        cell: Name of the cell.
        weights: Weights of the layer.
        own_format: Format of the layer's states.
        format_below: Format of the states of the layer below; None for the first layer, whose token table includes the
            biases.
    """
    size = weights.hidden.shape[1]
    result = _compute_gate_scales(cell, size, own_format)
    hidden_result = result.copy()
    is_summed = np.ones(len(result))  # 1 for gates whose argument is the sum of the shares of input and hidden state
    if cell == "gru":
        # The reset gate multiplies the hidden state's share of the candidate, which therefore has its own format.
        hidden_result[2 * size :], is_summed[2 * size :] = 2.0**_CANDIDATE_SHARE, 0
    hidden = _quantize_matrix(_to_float64(weights.hidden), hidden_result * 2.0**-own_format)
    input_bias, hidden_bias = (0.0 if b is None else _to_float64(b) for b in (weights.input_bias, weights.hidden_bias))
    hidden_share = hidden_bias * hidden_result + hidden.rounding_error
    bias = input_bias * result + hidden_share * is_summed
    candidate_bias = _round_bias(hidden_share[2 * size :]) if cell == "gru" else None
    if format_below is None:
        return IntegerLayer(hidden.matrix, candidate_bias=candidate_bias), bias
    from_input = _quantize_matrix(_to_float64(weights.input), result * 2.0**-format_below)
    return IntegerLayer(
        hidden.matrix, from_input.matrix, _round_bias(bias + from_input.rounding_error), candidate_bias
    ), bias


def _to_float64(parameter: torch.Tensor) -> Floats:
    return parameter.detach().cpu().double().numpy()


def _compute_gate_scales(cell: str, size: int, relu_format: int) -> Floats:
    """Returns the factor of each gate's argument, (gates * hidden,)."""
    # Arguments of sigmoids are stored halved: sigmoid(z) is (tanh(z / 2) + 1) / 2.
    tanh, sigmoid = 2.0**_ARGUMENT, 2.0 ** (_ARGUMENT - 1)
    gates = {
        "rnn_tanh": [tanh],
        "rnn_relu": [2.0**relu_format],
        "gru": [sigmoid, sigmoid, tanh],
        "lstm": [sigmoid, sigmoid, tanh, sigmoid],
    }[cell]
    return np.repeat(gates, size)


def _quantize_matrix(weights: Floats, scale: Floats) -> _Scaled:
    """Returns a matrix whose scaled product with integers is ``scale``, (rows,), times that of ``weights``."""
    # A row's step is the finest with which its weights fit 8 bits and its sum of magnitudes fits MAX_ROW_SUM, also
    # after rounding, which adds half a step for each weight at most.
    largest, sums = np.abs(weights).max(axis=1), np.abs(weights).sum(axis=1)
    step = np.maximum(largest / 127, sums / max(MAX_ROW_SUM - weights.shape[1] / 2 - 1, 1))
    step[step == 0] = 1  # a row of zeros
    integers = np.rint(weights / step[:, None]).clip(-127, 127).astype(np.int8)
    bounds, factors = compute_row_bounds(integers), step * scale
    # The first shift loses precision, so the smallest with which all products fit 32 bits is chosen.
    for first in range(FIRST_SHIFTS[0], FIRST_SHIFTS[1] + 1):
        ratios = factors * 2.0**first
        second = int(np.floor(np.log2(_MAX_MULTIPLIER / ratios.max())))
        second = min(second, SECOND_SHIFTS[1])
        if second < SECOND_SHIFTS[0]:
            break
        multipliers = np.rint(ratios * 2.0**second).astype(np.int64)
        if (((bounds >> first) + 1) * multipliers).max() < 1 << 31:
            matrix = IntegerMatrix(integers, multipliers.astype(np.int16), np.array([first, second], np.int32))
            # Both shifts round down, by half a unit on average; the first one only by the bits that it discards.
            return _Scaled(matrix, 0.5 + 0.5 * (1 - 2.0**-first) * multipliers * 2.0**-second)
    raise InputError(f"weights as large as {largest.max():.3g} cannot be quantized to 8 bits: train with weight decay")


def _round_bias(x: Floats) -> NDArray[np.int32]:
    return np.rint(x).clip(-MAX_BIAS, MAX_BIAS).astype(np.int32)


def _choose_relu_formats(model: LanguageModel, table: Floats) -> list[int]:
    """Returns for each layer the finest format of twice the largest state on text that the model generates."""
    # The states of relu have no bound, so their range is measured. No corpus is needed: the model generates the text.
    largest = np.zeros(model.layer.num_layers)
    generator = torch.Generator().manual_seed(0)
    with predicting(model):
        state = model.begin_state(16)
        ids = torch.randint(len(model.vocabulary), (16,), generator=generator, device="cpu")
        for _ in range(400):
            logits, state = model.step(ids.to(model.device), state)
            assert isinstance(state, torch.Tensor)
            largest = np.maximum(largest, _to_float64(state.abs().amax(dim=(1, 2))))
            ids = torch.multinomial(torch.softmax(logits.nan_to_num(0, 0, 0), 1).cpu(), 1, generator=generator)[:, 0]
    ranges = 2 * np.nan_to_num(largest, nan=1e9, posinf=1e9)  # states may overflow
    # The token table of the first layer has the same format.
    ranges[0] = max(ranges[0], np.abs(table).max())
    return [int(np.clip(np.floor(np.log2(32767 / max(x, 1e-3))), _MIN_RELU_FORMAT, _BOUNDED)) for x in ranges]


def _encode_tokens(vocabulary: Vocabulary) -> tuple[NDArray[np.uint8], NDArray[np.int32], int]:
    """Returns the tokens' bytes, their offsets, and the id of the token that precedes a text."""
    # A vocabulary may contain lone surrogates, which strict UTF-8 cannot encode.
    tokens = [
        token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass") for token in vocabulary.tokens
    ]
    if vocabulary.unknown_id is not None:
        tokens[vocabulary.unknown_id] = b""
    offsets = np.cumsum([0, *map(len, tokens)]).astype(np.int32)
    # A text most likely starts as a line or a word does. Otherwise the first token that is not <unk> is used.
    start_token = next((tokens.index(token) for token in (b"\n", b" ") if token in tokens), 1 % len(tokens))
    return np.frombuffer(b"".join(tokens), np.uint8), offsets, start_token
