"""The weights and options of a language model or a recurrent layer, read from PyTorch's modules for an export.

Only modules whose results follow from these weights and options are accepted.
"""

from collections.abc import Sequence
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from charloom.errors import InputError
from charloom.layers.argument_shapes import weights_fit
from charloom.layers.read_weights import num_weights, weights_by_cell
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.layers.torch_classes import TORCH_CLASSES, has_torch_forward
from charloom.layers.torch_layers import LAYERS
from charloom.models.language_model import LanguageModel
from charloom.models.predictor import check_finite
from charloom.recurrence.kernel_arguments import check_memory
from charloom.recurrence.torch_internals import are_hooked
from charloom.text.clean_up import CleanUp
from charloom.text.vocabulary import Vocabulary

# Read at import: a function that replaces one of these in a class later is meant to be called.
_CALL, _FORWARD = nn.Module.__call__, RecurrentLayer.forward

Array: TypeAlias = NDArray[np.float32]


class CellArrays(NamedTuple):
    """The weights of one layer in one direction, as in ``CellWeights``: gates in PyTorch's order.

    Attributes:
        input: Input weights, (gates * hidden, input features).
        hidden: Hidden weights, (gates * hidden, hidden).
        input_bias: Bias (gates * hidden,), or None for a layer without bias.
        hidden_bias: Bias (gates * hidden,), or None for a layer without bias.
    """

    input: Array
    hidden: Array
    input_bias: Array | None
    hidden_bias: Array | None


class RecurrentPart(NamedTuple):
    """The layers of an RNN, GRU or LSTM.

    Attributes:
        mode: Cell, the value of ``torch.nn.RNNBase.mode``.
        input_size: Number of input features.
        hidden_size: Number of hidden units.
        num_layers: Number of layers.
        num_directions: Number of directions, 2 for a bidirectional layer.
        batch_first: True if inputs and outputs are (batch, time, features), False if (time, batch, features).
        weights: Weights by layer and direction.
    """

    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    num_directions: int
    batch_first: bool
    weights: Sequence[CellArrays]


class TokenParts(NamedTuple):
    """The parts of a language model before and after its recurrent layers.

    Attributes:
        embedding: Embedding, (vocabulary, features); None for one-hot input.
        output: Weights of the output layer, (vocabulary, hidden); None if they are the embedding's.
        bias: Bias of the output layer, (vocabulary,).
    """

    embedding: Array | None
    output: Array | None
    bias: Array


def read_language_model(model: LanguageModel) -> tuple[RecurrentPart, TokenParts]:
    """Returns the parts of a language model, whose logits they determine.

    Raises:
        InputError: A part or method was replaced, has hooks or is parametrized; weights are not finite float32 tensors.
    """
    problem = LanguageModel.describe_unsupported_part(model)  # a subclass may have another
    vocabulary: Vocabulary = model.vocabulary
    if problem is None and (type(vocabulary) is not Vocabulary or type(vocabulary.clean_up) is not CleanUp):
        problem = "its vocabulary or its normalization is an instance of a subclass"
    if problem is not None:
        raise InputError(
            f"this model cannot be exported, because the file would compute other results ({problem}); use charloom's "
            "own parts and methods, without parametrizations"
        )
    _check_hooks(model)
    embedding = None if model.embedding is None else _to_array("embedding.weight", model.embedding.weight)
    output = None if model.tied_output else _to_array("output.weight", model.output.weight)
    tokens = TokenParts(embedding, output, _to_array("output.bias", model.output.bias))
    return read_recurrent_layer(model.layer), tokens


def read_recurrent_layer(module: nn.Module) -> RecurrentPart:
    """Returns the options and weights of an RNN, GRU or LSTM of ``torch.nn`` or charloom.

    Raises:
        InputError: The module is another one, or a subclass; it has hooks, another ``forward`` or a projection; weights
            are not finite float32 tensors, or do not have the shapes that its options require.
    """
    # A parametrized module has a class of its own, derived from the class that it had before. An accelerated class
    # equals the class of torch.nn that it replaces.
    kind = type(module).__bases__[0] if parametrize.is_parametrized(module) else type(module)
    if kind not in _CLASSES or not isinstance(module, nn.RNNBase):
        raise InputError(
            f"a module of type {type(module).__name__} cannot be exported: pass a LanguageModel, or an RNN, GRU or "
            "LSTM of torch.nn or charloom.layers, not a subclass or a module that contains one"
        )
    replaced = [name for name in vars(module) if isinstance(getattr(kind, name, None), FunctionType)]
    if not has_torch_forward(module.mode) or RecurrentLayer.forward is not _FORWARD or kind.__call__ is not _CALL:
        replaced.append("forward")
    if replaced:
        raise InputError(
            f"this layer cannot be exported: its method {replaced[0]} was replaced, so that its results may be "
            "different; use a layer with the methods of its class"
        )
    _check_hooks(module)
    return _read_part(module)


_CLASSES: tuple[type[nn.Module], ...] = (*TORCH_CLASSES.values(), *LAYERS.values())


def _check_hooks(model: nn.Module) -> None:
    if are_hooked(model.modules()):
        raise InputError(
            "a model with hooks cannot be exported: they may change its results; remove them first (weight norm and "
            "pruning of torch.nn.utils: remove_weight_norm, prune.remove)"
        )


def _read_part(layer: nn.RNNBase) -> RecurrentPart:
    """Returns the options and weights of a layer whose methods are those of its class."""
    if layer.proj_size:
        raise InputError("a layer with proj_size cannot be exported: ONNX has no LSTM with a projection")
    # As PyTorch's forward reads them: by name, unless that list was changed and no attribute.
    layer._update_flat_weights()
    weights = layer._flat_weights
    if len(weights) != num_weights(layer) or len(layer._flat_weights_names) != num_weights(layer):
        raise InputError("the layer does not have the number of weights that its options require")
    cells = weights_by_cell(layer, weights)
    if not weights_fit(layer, cells):
        raise InputError("the weights do not have the shapes that the layer's options require")
    arrays = [_to_array(name, weight) for name, weight in zip(layer._flat_weights_names, weights, strict=True)]
    each = len(arrays) // len(cells)
    return RecurrentPart(
        mode=layer.mode,
        input_size=layer.input_size,
        hidden_size=layer.hidden_size,
        num_layers=layer.num_layers,
        num_directions=2 if layer.bidirectional else 1,
        batch_first=layer.batch_first,
        weights=[CellArrays._make([*arrays[i : i + each], None, None][:4]) for i in range(0, len(arrays), each)],
    )


def _to_array(name: str, tensor: Any) -> Array:
    """Returns the values of a weight, which are not copied if they are in contiguous memory on the CPU."""
    if not isinstance(tensor, Tensor) or tensor.dtype is not torch.float32:
        found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InputError(
            f"the weight {name} is {found}: only float32 weights can be exported; convert them with model.float() first"
        )
    try:
        check_memory(tensor)
        check_finite({name: tensor})
        values: Any = tensor.numpy(force=True)
    except (RuntimeError, TypeError, NotImplementedError):  # of a sparse tensor, for example
        raise InputError(f"the values of the weight {name} cannot be read: it must be a dense tensor") from None
    return np.asarray(values)
