"""What follows the gradients of a step, in one native call where there is one: clipping, and plain gradient descent."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from charloom.recurrence import kernel_calls
from charloom.recurrence.backend import backend, covers
from charloom.recurrence.kernel_arguments import KernelArgumentError


def clip_gradients(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scales the gradients of all parameters down together where their global norm is above ``max_norm``.

    As ``torch.nn.utils.clip_grad_norm_``, in a tenth of its time for small models. Source: Pascanu et al., On the
    difficulty of training recurrent neural networks, 2013.
    """
    if not _descend(parameters, max_norm, None):
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def clip_and_descend(parameters: Sequence[Tensor], max_norm: float, learning_rate: float) -> bool:
    """``clip_gradients`` (unless ``max_norm`` is 0), then subtracts ``learning_rate`` times its gradient from each.

    Returns False, with nothing done, where the kernels do not cover it.
    """
    return _descend(parameters, max_norm or math.inf, learning_rate)


def _descend(parameters: Sequence[Tensor], max_norm: float, learning_rate: float | None) -> bool:
    kernels = backend().kernels
    with_gradient = [p for p in parameters if p.grad is not None]
    gradients: list[Tensor] = [p.grad for p in with_gradient]  # type: ignore[misc] # just seen not to be None
    values = with_gradient if learning_rate is not None else []
    if kernels is None or not covers() or not gradients:
        return False
    try:
        kernel_calls.descend(kernels, gradients, values, max_norm, learning_rate or 0.0)
    except KernelArgumentError:
        return False
    if values:
        torch.autograd.graph.increment_version(values)  # as an operator of torch's would: a graph made before is stale
    return True
