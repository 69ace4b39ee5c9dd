"""Sizes that the native kernels compute with, and addresses of tensors that have been checked against them."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import Parameter

from charloom.errors import InputError, pluralize
from charloom.recurrence.torch_internals import hidden_from_compiler, is_observed, is_wrapped
from charloom.settings.model import LayerPrecision
from charloom_codec.cells import CELLS, Cell

PRECISIONS: tuple[LayerPrecision, ...] = ("float32", "bfloat16", "int8")
"""Precisions in the order of ``Precision`` in kernels.h."""

MAX_INT8_INPUTS = 2**17
"""Maximum inputs of a layer in int8: 127 * 127 times this number is below 2**31."""

# None stands for a bias or an embedding that the model lacks, so that positions stay the same for all models.
OptionalTensors: TypeAlias = Sequence[Tensor | None]


class KernelArgumentError(InputError):
    """An error for a tensor that the kernels cannot take; PyTorch may take it."""


def training_precision(precision: LayerPrecision) -> int:
    """Returns the index into ``PRECISIONS`` for calls with gradients: that of float32 for int8."""
    # A gradient of values rounded to 8 bits would be zero almost everywhere.
    return PRECISIONS.index("float32" if precision == "int8" else precision)


class LayerShape(NamedTuple):
    """Sizes of one layer in one direction.

    Attributes:
        cell: Index into ``CELLS``.
        precision: Index into ``PRECISIONS``.
        steps: Number of time steps.
        batch: Number of sequences.
        inputs: Number of input features.
        hidden: Number of hidden units.
        packed_rows: Number of rows of all steps of a packed batch; 0 for a padded batch.
    """

    cell: int
    precision: int
    steps: int
    batch: int
    inputs: int
    hidden: int
    packed_rows: int = 0

    @property
    def rows(self) -> tuple[int, ...]:
        """Dimensions of the rows of all steps."""
        return (self.packed_rows,) if self.packed_rows else (self.steps, self.batch)

    @property
    def input(self) -> tuple[int, ...]:
        """Shape of the input."""
        return *self.rows, self.inputs

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of the hidden states."""
        return *self.rows, self.hidden

    @property
    def reserve(self) -> int:
        """Size of the reserve in bytes: an upper bound, which the kernels check, in terms that torch.compile traces."""
        # The arrays of kernels/layer/tape.h and layer.h, with slack for rows of tiles and for alignment.
        cell, size = CELLS[self.cell], 4 if PRECISIONS[self.precision] == "float32" else 2
        rows = self.packed_rows or self.steps * self.batch
        states = rows + (self.batch if self.packed_rows else 0)
        width, inputs = ((n + 31) // 32 * 32 for n in (self.hidden, self.inputs))
        slots = (cell.gates + (cell.mode == "GRU")) * width + 64 // size
        numbers = (rows + 16) * slots + cell.state_parts * (self.batch + states + 32) * width
        if size == 2:
            numbers += (rows + 16) * inputs
        return numbers * size + 6 * 256  # a reserve has up to 6 arrays

    @property
    def state(self) -> tuple[int, int]:
        """Shape of each part of the state."""
        return self.batch, self.hidden

    @property
    def weights(self) -> list[tuple[int, ...]]:
        """Shapes of input weights, hidden weights and the two biases."""
        return weight_shapes(CELLS[self.cell], self.inputs, self.hidden)


def weight_shapes(cell: Cell, inputs: int, hidden: int) -> list[tuple[int, ...]]:
    """Returns the shapes of a layer's input weights, hidden weights and two biases."""
    rows = cell.gates * hidden
    return [(rows, inputs), (rows, hidden), (rows,), (rows,)]


class ModelShape(NamedTuple):
    """Sizes of a language model.

    Attributes:
        cell: Index into ``CELLS``.
        hidden: Number of hidden units.
        layers: Number of layers.
        vocabulary: Number of tokens.
        embedding_size: Size of the input embedding; 0 for one-hot input.
    """

    cell: int
    hidden: int
    layers: int
    vocabulary: int
    embedding_size: int

    @property
    def parameters(self) -> list[tuple[int, ...]]:
        """Shapes of embedding, each layer's weights, output weights and output bias."""
        return _parameter_shapes(self)


@functools.lru_cache  # every training step asks for the same shapes
def _parameter_shapes(shape: ModelShape) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [(shape.vocabulary, shape.embedding_size)]
    for number in range(shape.layers):
        # Upper layers read the hidden states of the layer below.
        inputs = shape.hidden if number else shape.embedding_size or shape.vocabulary
        shapes += weight_shapes(CELLS[shape.cell], inputs, shape.hidden)
    return [*shapes, (shape.vocabulary, shape.hidden), (shape.vocabulary,)]


@hidden_from_compiler
def dense_address(tensor: Tensor | None, dtype: torch.dtype = torch.float32) -> int:
    """Returns the address of a plain, non-empty tensor in the CPU's memory; 0 for any other tensor and for None."""
    if (
        tensor is not None
        and type(tensor) in (Tensor, Parameter)  # a subclass may be anything: quantized, sharded, fake
        and tensor.dtype is dtype
        and tensor.layout is torch.strided
        and tensor.is_cpu
        and not tensor.is_nested
        and not tensor.is_neg()  # a lazy negative view: its memory has the values with the other sign
    ):
        # A storage can be freed or shrunk while its tensors live: fully_shard and offloading do so with weights. Then
        # data_ptr() is an address that the kernels must not read.
        extent = tensor.numel() if tensor.is_contiguous() else _extent(tensor)
        if (tensor.storage_offset() + extent) * dtype.itemsize <= tensor.untyped_storage().nbytes():
            found_at: int = tensor.data_ptr()  # 0 for an empty tensor, too
            return found_at
    return 0


def _extent(tensor: Tensor) -> int:
    """Returns the number of elements of the storage from a tensor's first to its last."""
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def check_memory(*arguments: object) -> None:
    """Raises RuntimeError for a tensor whose memory has been freed or shrunk."""
    # PyTorch does not check this: it reads past the end of the memory, or crashes.
    if torch.compiler.is_compiling() or is_observed():
        return
    for tensor in arguments:
        if not isinstance(tensor, Tensor) or type(tensor) not in (Tensor, Parameter) or is_wrapped(tensor):
            continue
        if not tensor.is_cpu or tensor.layout is not torch.strided or tensor.is_nested or tensor.is_neg():
            continue
        if tensor.numel() and not dense_address(tensor, tensor.dtype):
            raise RuntimeError(
                f"a recurrent layer reads a tensor {tuple(tensor.shape)} whose memory has been freed or shrunk"
            )


def address(
    tensor: Tensor | None, shape: tuple[int, ...] | None, dtype: torch.dtype = torch.float32, contiguous: bool = True
) -> int:
    """Returns the address of a tensor after checking it.

    Args:
        tensor: A plain, non-empty tensor on the CPU.
        shape: Expected shape; None for any.
        dtype: Expected dtype.
        contiguous: False if the kernel takes the strides.

    Raises:
        KernelArgumentError: The tensor is not what a kernel expects.
    """
    found_at = dense_address(tensor, dtype)
    if found_at and tensor is not None and shape in (None, tensor.shape) and (not contiguous or tensor.is_contiguous()):
        return found_at
    dense = "contiguous " if contiguous else ""
    # The type's name alone for other objects and nested tensors: these have no shape, those perhaps no dtype.
    found = type(tensor).__name__
    if isinstance(tensor, Tensor) and not tensor.is_nested:
        found = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}, "
        found += f"strides {tensor.stride()}" if tensor.layout is torch.strided else str(tensor.layout)
    expected = "" if shape is None else f" {tuple(shape)}"
    raise KernelArgumentError(f"the kernels expect a {dense}{dtype} tensor{expected} on the CPU, not {found}")


def addresses(tensors: OptionalTensors, shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Returns the addresses of several tensors; 0 for a bias or an embedding that is None."""
    if len(tensors) != len(shapes):
        raise KernelArgumentError(f"the kernels expect {len(shapes)} tensors, not {len(tensors)}")
    return [
        # Biases have one dimension; an embedding of size 0 is one-hot input. A weight matrix must be there.
        0 if t is None and (len(shape) == 1 or 0 in shape) else address(t, shape)
        for t, shape in zip(tensors, shapes, strict=True)
    ]


def parameter_addresses(parameters: OptionalTensors, shape: ModelShape) -> list[int]:
    """Returns the addresses of a language model's parameters, or of their gradients; 0 as in ``addresses``."""
    # The output bias is required, unlike those of the layers, so that ``addresses`` may not read None as 0 for it.
    *shapes, output_bias = shape.parameters
    return [*addresses(parameters[:-1], shapes), address(parameters[-1], output_bias)]


def cell_state_address(shape: LayerShape, c: Tensor | None) -> int:
    """Returns the address of an LSTM's cell state; 0 for other cells."""
    return address(c, shape.state) if CELLS[shape.cell].state_parts == 2 else 0


def batch_sizes_address(shape: LayerShape, batch_sizes: Tensor | None) -> int:
    """Returns the address of the batch sizes of a packed batch, whose values the bindings check; 0 for None."""
    return 0 if batch_sizes is None else address(batch_sizes, (shape.steps,), torch.int64)


def resets_address(shape: LayerShape, resets: Tensor | None) -> int:
    """Returns the address of the resets of a padded batch; 0 for None."""
    return 0 if resets is None else address(resets, (shape.steps, shape.batch), torch.bool)


def state_addresses(shape: ModelShape, batch: int, state: Sequence[Tensor]) -> tuple[int, int]:
    """Returns the addresses of a language model's state (layers, batch, hidden); the second is 0 without an LSTM."""
    cell = CELLS[shape.cell]
    if len(state) != cell.state_parts:
        expected = pluralize(cell.state_parts, "tensor")
        raise KernelArgumentError(f"the {cell.layer} state must have {expected}, not {len(state)}")
    first, *rest = [address(part, (shape.layers, batch, shape.hidden)) for part in state]
    return first, rest[0] if rest else 0


def address_of_new(tensor: Tensor | None) -> int:
    """Returns the address of a tensor that the caller has just created, without a check; 0 for None."""
    # Such tensors are contiguous and of the right size by construction; an empty one is valid here.
    return 0 if tensor is None else tensor.data_ptr()
