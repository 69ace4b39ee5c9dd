"""Export of a language model or a recurrent layer to an ONNX file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from charloom.errors import InputError, SettingsError, pluralize
from charloom.export.files import write_export
from charloom.export.model_parts import RecurrentPart, TokenParts, read_language_model, read_recurrent_layer
from charloom.layers.deferred_restoration import restore_scripted
from charloom.models.language_model import LanguageModel
from charloom_codec.arguments import PATH, check_type
from charloom_codec.cells import CELL_OF_MODE
from charloom_codec.version import __version__

_MAX_BYTES = 2**31 - 2**25
"""Maximum size of all weights: protobuf's limit of 2 GiB for a file, less room for its other parts."""


def export_onnx(model: nn.Module, path: str | Path, *, force: bool = False) -> None:
    """Writes a language model or a recurrent layer to an ONNX file (opset 14), with the state as input and output.

    The graph computes in float32 what the model computes in evaluation mode: without dropout, whatever the
    ``precision`` of its products. It contains the values that the weights, including parametrized ones, have at this
    call. Numbers of time steps and sequences are free. A language model has these inputs and outputs:

    - ``ids``: Token ids, int64 (batch, time). An id that is not in the vocabulary is an error at run time.
    - ``h_0``, for an LSTM also ``c_0``: State before them, (layers, batch, hidden); zeros at the start of a text.
    - ``logits``: Logits of each next token, (time, batch, vocabulary).
    - ``h_n``, for an LSTM also ``c_n``: State after the last step.

    The metadata contains the version (``charloom``), ``cell``, ``nonlinearity``, sizes, and ``vocabulary``, the JSON
    text of ``Vocabulary.to_json``: the character with index i in ``characters`` has the id i + 1, id 0 is ``<unk>``. In
    a vocabulary of bytes, ``characters`` is null, and each byte is its own id.

    A recurrent layer has ``input``, (time, batch, features), instead of ``ids``, and ``output``, (time, batch,
    directions * hidden), instead of ``logits``; both are batch first for a ``batch_first`` layer. Its states are
    (layers * directions, batch, hidden).

    Args:
        model: A language model, or an RNN, GRU or LSTM of ``torch.nn`` or charloom, which may be accelerated, frozen or
            parametrized; with float32 weights.
        path: The file.
        force: Overwrite an existing file.

    Raises:
        InputError: The model is not one of these; it has hooks, an overridden forward, a projection (``proj_size``),
            weights of another dtype, NaN or infinite weights, or weights of more than about 2 GB; a language model has
            replaced or parametrized parts; the file exists or cannot be written.
        SettingsError: The package onnx is not installed.
    """
    check_type(nn.Module, model=model)
    check_type(PATH, path=path)
    check_type(bool, force=force)
    restore_scripted(model)
    try:
        from charloom.export import onnx_graph
    except ModuleNotFoundError:
        raise SettingsError("onnx is not installed; install it with pip install 'charloom[onnx]'") from None
    with _in_eval_mode(model):
        if isinstance(model, LanguageModel):
            part, tokens = read_language_model(model)
            _check_size(part, tokens)
            properties = _describe_part(part) | _describe_tokens(model)
            built = onnx_graph.build_language_model(part, tokens, properties)
        else:
            part = read_recurrent_layer(model)
            _check_size(part)
            built = onnx_graph.build_layer(part, _describe_part(part))
    write_export(Path(path), built.SerializeToString(), force=force)


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Disables gradients, and sets a module and its submodules to evaluation mode, within the context."""
    # In training mode, some parametrizations change at each access (spectral_norm) or are random. The attribute itself,
    # because train() may do more: it unfreezes a layer.
    before = [(part, part.training) for part in model.modules()]
    for part, _ in before:
        part.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in before:
            part.training = training


def _check_size(part: RecurrentPart, tokens: TokenParts | None = None) -> None:
    arrays = [array for cell in part.weights for array in cell] + list(tokens or ())
    size = sum(array.nbytes for array in arrays if array is not None)
    if size > _MAX_BYTES:
        raise InputError(
            f"the weights take {pluralize(size, 'byte')}: an ONNX file cannot hold more than {_MAX_BYTES:,}; use a "
            "smaller model"
        )


def _describe_part(part: RecurrentPart) -> dict[str, str]:
    """Returns the metadata of recurrent layers."""
    cell = CELL_OF_MODE[part.mode]
    values = {
        "charloom": __version__,
        "cell": cell.setting,
        "nonlinearity": cell.nonlinearity,
        "input_size": part.input_size,
        "hidden_size": part.hidden_size,
        "num_layers": part.num_layers,
        "num_directions": part.num_directions,
    }
    return {name: str(value) for name, value in values.items()}


def _describe_tokens(model: LanguageModel) -> dict[str, str]:
    """Returns the metadata that a program needs to encode and decode text."""
    # JSON in ASCII: a character can be a lone surrogate, which protobuf's strings cannot contain.
    return {"vocabulary": json.dumps(model.vocabulary.to_json())}
