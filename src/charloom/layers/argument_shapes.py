"""The shapes that a recurrent layer's options require of its arguments and weights."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from charloom.errors import InputError
from charloom.recurrence.equations import CellWeights
from charloom.recurrence.kernel_arguments import check_memory, weight_shapes
from charloom_codec.cells import CELL_OF_MODE


def state_shapes(layer: nn.RNNBase, batch: int) -> list[tuple[int, int, int]]:
    """Returns the shapes of the parts of a layer's state, each (layers * directions, batch, units)."""
    # A projection (proj_size) applies to the hidden state only, as in torch.nn.LSTM.
    units = [layer.proj_size or layer.hidden_size, layer.hidden_size][: CELL_OF_MODE[layer.mode].state_parts]
    return [(layer.num_layers * (2 if layer.bidirectional else 1), batch, size) for size in units]


def arguments_fit(layer: nn.RNNBase, inputs: object, batch_sizes: Tensor | None, hx: object) -> bool:
    """Returns True if input and state have the shapes that the layer's options require.

    Args:
        layer: The layer.
        inputs: Input of a batch, or the data of a packed sequence.
        batch_sizes: Batch sizes of a packed sequence; None for a padded batch.
        hx: Initial state; None for zeros.
    """
    if not isinstance(inputs, Tensor) or inputs.is_nested:
        return False
    if inputs.dim() != (3 if batch_sizes is None else 2) or inputs.shape[-1] != layer.input_size:
        return False
    if hx is None:
        return True
    cell = CELL_OF_MODE[layer.mode]
    parts = hx if cell.state_parts > 1 else (hx,)
    # Exactly a tuple: PyTorch's own forward decides about lists and named tuples.
    if type(parts) is not tuple or len(parts) != cell.state_parts:
        return False
    batch = inputs.shape[0 if layer.batch_first else 1] if batch_sizes is None else int(batch_sizes[0])
    expected = (layer.num_layers * (2 if layer.bidirectional else 1), batch, layer.hidden_size)
    return all(isinstance(part, Tensor) and not part.is_nested and part.shape == expected for part in parts)


def check_arguments(layer: nn.RNNBase, inputs: Tensor, hx: Any) -> None:
    """Raises an error, PyTorch's if it has one, unless a padded batch and its initial state fit a layer's options.

    For calls that neither the kernels nor PyTorch's own ``forward`` checks.
    """
    layer.check_input(inputs, None)
    if not inputs.shape[1 if layer.batch_first else 0]:
        raise InputError("a recurrent layer needs at least one time step")
    if hx is None:
        return
    num_parts = CELL_OF_MODE[layer.mode].state_parts
    parts = hx if num_parts > 1 else (hx,)
    if type(parts) is not tuple or len(parts) != num_parts or not all(isinstance(part, Tensor) for part in parts):
        expected = "a tensor" if num_parts == 1 else f"a tuple of {num_parts} tensors"
        raise InputError(f"the initial state of this layer must be {expected}")
    layer.check_forward_args(inputs, hx, None)


def weights_fit(layer: nn.RNNBase, weights: Iterable[CellWeights]) -> bool:
    """Returns True if the weights of all layers and directions have the shapes that the layer's options require."""
    directions = 2 if layer.bidirectional else 1
    for i, cell in enumerate(weights):
        inputs = layer.input_size if i < directions else directions * layer.hidden_size
        shapes = weight_shapes(CELL_OF_MODE[layer.mode], inputs, layer.hidden_size)
        for weight, shape in zip(cell if layer.bias else cell[:2], shapes, strict=False):
            if not isinstance(weight, Tensor) or weight.is_nested or weight.shape != shape:
                return False
    return True


def checked_resets(layer: nn.RNNBase, inputs: object, resets: object) -> Tensor:
    """Returns a copy of the resets, contiguous (steps, batch), so that they stay what was checked.

    Args:
        layer: The layer.
        inputs: Input of the call.
        resets: Argument of the call: bool, with the first two dimensions of the input.

    Raises:
        InputError: The input is not a padded batch, or the resets do not fit it.
    """
    if isinstance(inputs, PackedSequence):
        raise InputError(
            "resets require a padded batch, not a PackedSequence: omit them, and pack each sequence as a separate row"
        )
    if not isinstance(inputs, Tensor) or inputs.is_nested or inputs.dim() != 3:
        raise InputError("resets require an input with 3 dimensions: add a batch dimension")
    # No broadcasting: a mask of the other layout or of one row could reset the wrong rows unnoticed.
    expected = tuple(inputs.shape[:2])
    is_dense = isinstance(resets, Tensor) and resets.layout is torch.strided and not resets.is_nested
    if not isinstance(resets, Tensor) or not is_dense or resets.dtype is not torch.bool or resets.shape != expected:
        order = "(batch, steps)" if layer.batch_first else "(steps, batch)"
        raise InputError(f"resets must be a torch.bool tensor {order} = {expected}, not {_description(resets)}")
    if resets.device != inputs.device:
        raise InputError(f"resets are on {resets.device}, but the input is on {inputs.device}")
    check_memory(resets)
    # A copy, because the backward pass reads the mask again.
    return (resets.t() if layer.batch_first else resets).clone(memory_format=torch.contiguous_format)


def _description(value: object) -> str:
    """Returns layout (unless it is dense), dtype and shape of a tensor; the type's name for other objects."""
    # A nested tensor has no shape.
    if not isinstance(value, Tensor) or value.is_nested:
        return type(value).__name__
    layout = "" if value.layout is torch.strided else f"{value.layout} "
    return f"{layout}{value.dtype} {tuple(value.shape)}"
