"""Packed sequences (``torch.nn.utils.rnn.PackedSequence``), checked before the kernels compute with them."""

import operator

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from charloom.recurrence.kernel_arguments import dense_address
from charloom.recurrence.torch_internals import is_observed


def take_packed(value: object) -> PackedSequence | None:
    """Returns a packed sequence with a copy of its batch sizes, so that they stay what was checked.

    Returns None for any other object, and for a packed sequence that PyTorch's own ``forward`` must compute or reject:
    one that was not made by PyTorch's functions, or a call that is compiled, transformed or recorded.
    """
    if type(value) is not PackedSequence or torch.compiler.is_compiling() or is_observed():
        return None
    data, batch_sizes, *permutations = value
    if not isinstance(data, Tensor) or data.is_nested or data.dim() != 2:
        return None
    # PyTorch ignores the strides of batch sizes: what it then computes or raises is its own.
    if not _is_index(batch_sizes) or not batch_sizes.is_contiguous():
        return None
    copied = batch_sizes.clone()
    sizes: list[int] = copied.tolist()
    if sizes[-1] < 1 or any(map(operator.lt, sizes, sizes[1:])) or sum(sizes) != len(data):
        return None
    # PyTorch raises an error for an index that is out of range.
    if any(p is not None and not (_is_index(p) and len(p) == sizes[0]) for p in permutations):
        return None
    # _replace, because the constructor would compute the inverse of a permutation that is None.
    return value._replace(batch_sizes=copied)


def _is_index(value: object) -> bool:
    """Returns True for a plain vector of int64 in the CPU's memory."""
    return isinstance(value, Tensor) and dense_address(value, torch.int64) != 0 and value.dim() == 1
