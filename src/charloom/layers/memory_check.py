"""A check of the tensors that PyTorch's own recurrent layers read without one."""

import torch
from torch import Tensor, nn

from charloom.recurrence.kernel_arguments import dense_address
from charloom.recurrence.torch_internals import is_observed, is_wrapped


def check_memory(*arguments: object) -> None:
    """Raises RuntimeError for a tensor whose memory has been freed or shrunk."""
    # PyTorch does not check this: it reads past the end of the memory, or crashes.
    if torch.compiler.is_compiling() or is_observed():
        return
    for tensor in arguments:
        if not isinstance(tensor, Tensor) or type(tensor) not in (Tensor, nn.Parameter) or is_wrapped(tensor):
            continue
        if not tensor.is_cpu or tensor.layout is not torch.strided or tensor.is_nested or tensor.is_neg():
            continue
        if tensor.numel() and not dense_address(tensor, tensor.dtype):
            raise RuntimeError(
                f"the memory of a tensor {tuple(tensor.shape)} that a recurrent layer reads has been freed or shrunk"
            )
