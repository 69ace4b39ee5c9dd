"""Packed weights that are kept from call to call, for layers that the user has frozen.

Packing takes as long as several time steps of a stream. The kernels pack again after every change of a weight that
PyTorch records, but a write through ``weight.data`` or ``weight.detach().numpy()`` leaves no trace. Therefore packed
weights are kept only for layers that ``layers.freeze`` has been called for.
"""

import threading
import weakref

import torch
from torch import Tensor

from charloom.recurrence.backend import backend
from charloom.recurrence.torch_internals import watch_fused_steps

# A set raises an error if it changes while another thread iterates over it.
_lock = threading.Lock()
# Weak references, so that models that are no longer used are freed.
_all: "weakref.WeakSet[FrozenWeights]" = weakref.WeakSet()


class FrozenWeights:
    """The packed weights of a frozen layer; a copy or a pickle of it packs its own.

    Attributes:
        native: The kernels' part, which packs, compares and keeps; None without native kernels.
    """

    def __init__(self) -> None:
        # Without kernels there is nothing to pack, and PyTorch's forward computes every call.
        kernels = backend().kernels
        self.native = None if kernels is None else kernels.frozen_weights()
        watch_fused_steps(_raise_versions)
        with _lock:
            _all.add(self)

    # Without the packed weights: a pickle may be read by another version of charloom, or on another processor.
    def __reduce__(self) -> tuple[type["FrozenWeights"], tuple[()]]:
        return FrozenWeights, ()


def _raise_versions(parameters: list[Tensor]) -> None:
    """Raises the versions of those parameters that are packed; those of other models stay as PyTorch leaves them."""
    with _lock:
        # By identity, as the kernels compare them: equal tensors may be different ones.
        packed = {id(tensor) for frozen in _all if frozen.native for tensor in frozen.native.tensors}
    torch.autograd.graph.increment_version([p for p in parameters if id(p) in packed])
