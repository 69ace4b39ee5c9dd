"""Sizes of what the native kernels compute with, and addresses of tensors that have been compared with them."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.settings.model import Precision

CELLS = ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")
"""Values of ``torch.nn.RNNBase.mode``, in the order of ``CellKind`` in kernels.h."""
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
"""In the order of ``Precision`` in kernels.h."""
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}
"""Blocks of rows in the weights of each cell."""

OptionalTensors: TypeAlias = Sequence[Tensor | None]


class LayerShape(NamedTuple):
    """Sizes of one layer in one direction. cell, precision: numbers of ``CELLS`` and ``PRECISIONS``."""

    cell: int
    precision: int
    steps: int
    batch: int
    inputs: int
    hidden: int

    @property
    def has_memory_cell(self) -> bool:
        """True for an LSTM."""
        return CELLS[self.cell] == "LSTM"

    @property
    def weights(self) -> list[tuple[int, ...]]:
        """Shapes of input weights, hidden weights and the two biases."""
        rows = GATES[CELLS[self.cell]] * self.hidden
        return [(rows, self.inputs), (rows, self.hidden), (rows,), (rows,)]


class ModelShape(NamedTuple):
    """Sizes of a language model. embedding_size: 0 for one-hot input."""

    cell: int
    hidden: int
    layers: int
    vocabulary: int
    embedding_size: int

    @property
    def parameters(self) -> list[tuple[int, ...]]:
        """Shapes of embedding, each layer's weights, output weights and output bias."""
        return _parameter_shapes(self)


@functools.lru_cache  # the same at each step of a training
def _parameter_shapes(shape: ModelShape) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [(shape.vocabulary, shape.embedding_size)]
    for number in range(shape.layers):
        inputs = shape.hidden if number else shape.embedding_size or shape.vocabulary
        shapes += LayerShape(shape.cell, 0, 1, 1, inputs, shape.hidden).weights
    return [*shapes, (shape.vocabulary, shape.hidden), (shape.vocabulary,)]


def address(
    tensor: Tensor | None,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    contiguous: bool = True,
) -> int:
    """Returns the address of a dense CPU tensor.

    Args:
        tensor: Whatever stands where the kernel expects a tensor.
        shape: Its expected shape.
        dtype: Its expected dtype.
        contiguous: False if the kernel takes the strides.

    Raises:
        InputError: The tensor is another.
    """
    if (
        isinstance(tensor, Tensor)
        and tensor.shape == shape
        and tensor.dtype is dtype
        and tensor.layout is torch.strided
        and tensor.is_cpu
        and not tensor.is_neg()
        and (not contiguous or tensor.is_contiguous())
    ):
        return tensor.data_ptr()
    dense = "contiguous " if contiguous else ""
    found = f"{type(tensor).__name__}"
    if isinstance(tensor, Tensor):
        found = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}, strides "
        found += str(tensor.stride()) if tensor.layout is torch.strided else str(tensor.layout)
    raise InputError(f"the kernels expect a {dense}{dtype} tensor {tuple(shape)} on the CPU, not {found}")


def addresses(tensors: OptionalTensors, shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Returns the addresses of several tensors; 0 for a bias or an embedding that is None."""
    if len(tensors) != len(shapes):
        raise InputError(f"the kernels expect {len(shapes)} tensors, not {len(tensors)}")
    return [
        0 if t is None and (len(shape) == 1 or 0 in shape) else address(t, shape)
        for t, shape in zip(tensors, shapes, strict=True)
    ]


def parameter_addresses(parameters: OptionalTensors, shape: ModelShape) -> list[int]:
    """Returns the addresses of a language model's parameters, or of their gradients, as ``addresses``."""
    *shapes, output_bias = shape.parameters
    return [*addresses(parameters[:-1], shapes), address(parameters[-1], output_bias)]


def memory_cell_address(shape: LayerShape, c: Tensor | None) -> int:
    """Returns the address of an LSTM's memory cell; 0 for other cells."""
    return address(c, (shape.batch, shape.hidden)) if shape.has_memory_cell else 0
