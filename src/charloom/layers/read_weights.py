"""The weights of a recurrent layer as a call must read them, since other code may have replaced them."""

import operator
from typing import Any

from torch import nn

from charloom.layers.argument_shapes import weights_fit
from charloom.recurrence.equations import CellWeights
from charloom.recurrence.torch_internals import can_autocast_lstm


def num_weights(layer: nn.RNNBase) -> int:
    """Returns the number of weight tensors of all layers and directions, including biases and projections."""
    kinds = (4 if layer.bias else 2) + (1 if layer.proj_size else 0)
    return layer.num_layers * (2 if layer.bidirectional else 1) * kinds


def weights_by_cell(layer: nn.RNNBase, weights: list[Any]) -> list[CellWeights]:
    """Returns ``weights``, in the order of ``_flat_weights``, by layer and direction; for layers without projection."""
    each = 4 if layer.bias else 2
    return [CellWeights._make([*weights[i : i + each], None, None][:4]) for i in range(0, len(weights), each)]


def named_weights(layer: nn.RNNBase) -> list[CellWeights] | None:
    """Returns the weights of each layer and direction, read by attribute name.

    Returns None for a layer whose weights PyTorch reads in another way or the kernels do not take.
    """
    names, flat = layer._flat_weights_names, layer._flat_weights
    # Parametrized weights are computed at each access, perhaps with side effects (power iterations, dropout): only
    # PyTorch's own number of accesses gives its results.
    if layer.proj_size or "parametrizations" in layer._modules or len(names) != num_weights(layer):
        return None
    # By name on every call, because torch.func.functional_call, pruning and weight drop replace the attributes, not
    # always with parameters. The two dictionaries that getattr searches, in a third of its time.
    attributes, parameters = vars(layer), layer._parameters
    weights: list[Any] = [
        attributes[name]
        if name in attributes
        else parameters[name]
        if name in parameters
        else getattr(layer, name, None)
        for name in names
    ]
    # PyTorch reads _flat_weights if that list was changed but no attribute, or if an attribute is missing.
    if any(weight is None for weight in weights) or len(flat) != len(names):
        return None
    same = all(old is new for old, new in zip(flat, weights, strict=True))
    if not same and not layer._weights_have_changed():  # type: ignore[no-untyped-call] # torch's
        return None
    return weights_by_cell(layer, weights)


def has_plain_weights(layer: nn.RNNBase) -> bool:
    """Returns True if ``_flat_weights`` are the registered parameters; then ``named_weights`` has no others."""
    names, flat = layer._flat_weights_names, layer._flat_weights
    # Short, because it runs at each step of a stream. A parametrized weight is not registered under its name. The
    # native call compares the number of weights with the layer's options, which excludes projections.
    return (
        all(map(operator.is_, flat, map(layer._parameters.get, names)))
        and len(flat) == len(names)
        and vars(layer).keys().isdisjoint(names)
    )


def suits_one_dnn(layer: nn.RNNBase, weights: list[CellWeights] | None) -> bool:
    """Returns False if oneDNN would read past the end of an LSTM's weights, or has no kernel for the dtype of autocast.

    Args:
        layer: The layer.
        weights: The result of ``named_weights``.
    """
    # oneDNN does not check sizes; PyTorch's code without it raises an error.
    if layer.mode != "LSTM":
        return True
    if len(layer._flat_weights_names) != num_weights(layer) or not can_autocast_lstm():
        return False
    return weights is None or weights_fit(layer, weights)
