"""Freezing of a model for inference: packed weights are kept from call to call."""

from typing import TypeVar

from torch import nn

from charloom.errors import InputError
from charloom.layers.deferred_restoration import restore_scripted
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.recurrence.frozen_weights import FrozenWeights

_Module = TypeVar("_Module", bound=nn.Module)


def freeze(module: _Module) -> _Module:
    """Puts a model into evaluation mode and keeps the packed weights of its recurrent layers from call to call.

    Calls without gradients then skip packing, which takes as long as several time steps; results are the same to the
    last bit. ``train()`` ends it. Changes of weights that PyTorch records are seen by the next call, which packs again:
    optimizers, in-place operations, ``load_state_dict``, replaced parameters, ``to()``. Writes that PyTorch does not
    record are not seen: those by ``torch.distributed``'s collectives, by fused optimizers whose step is compiled or
    called as a function, by ``weight.set_``, ``apply_`` and ``map_``, through ``weight.data`` (``weight.data.add_(1)``)
    or a tensor that was assigned to it, through other objects that share a weight's memory (NumPy arrays, DLPack
    tensors, storages), and by other processes. After such a write, call ``freeze`` again.

    The packed weights take about as much memory as the weights.

    Args:
        module: A recurrent layer of charloom or converted by ``accelerate``, or any module with such layers inside.

    Returns:
        The module itself.

    Raises:
        InputError: There is no such layer in the module.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"cannot freeze an object of type {type(module).__name__}: pass a torch.nn.Module")
    restore_scripted(module)
    layers = [layer for layer in module.modules() if isinstance(layer, RecurrentLayer)]
    if not layers:
        raise InputError(f"{type(module).__name__} contains no charloom recurrent layer: call accelerate first")
    # Dropout draws new masks at each call, and training changes the weights: packed weights suit evaluation only.
    module.eval()
    for layer in layers:
        layer.frozen_weights = FrozenWeights()
    return module
