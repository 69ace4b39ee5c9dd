"""Options and weights of a recurrent layer for a native call that no backward pass follows."""

from typing import Any

from charloom.layers.read_weights import has_plain_weights, named_weights
from charloom.layers.torch_classes import has_torch_forward
from charloom.recurrence.inference import LayerOptions
from charloom.recurrence.kernel_arguments import MAX_INT8_INPUTS, PRECISIONS
from charloom_codec.cells import CELL_OF_MODE


def inference_arguments(layer: Any) -> tuple[LayerOptions, list[Any]] | None:
    """Returns the arguments ``options`` and ``weights`` of ``infer``, as they are at the call.

    Args:
        layer: A ``RecurrentLayer``.

    Returns:
        None if the kernels do not compute what the layer's ``forward`` does: it has dropout, its class of ``torch.nn``
        was patched, or its weights are not plain tensors.
    """
    if (layer.dropout and layer.training) or not has_torch_forward(layer.mode):
        return None
    weights: Any = layer._flat_weights
    if not has_plain_weights(layer):
        cells = named_weights(layer)
        if cells is None:
            return None
        weights = [weight for cell_weights in cells for weight in cell_weights if weight is not None]
    precision = layer._precision
    # Sums of more products of 8-bit integers can overflow.
    fits = precision != "int8" or max(layer.input_size, 2 * layer.hidden_size) <= MAX_INT8_INPUTS
    options = (
        CELL_OF_MODE[layer.mode].number,
        PRECISIONS.index(precision if fits else "float32"),
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        layer.bidirectional,
        layer.bias,
    )
    return options, weights
