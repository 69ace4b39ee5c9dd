"""Conversion of the recurrent layers of any PyTorch model to charloom's, in place, and back."""

import copyreg
from collections.abc import Iterable
from typing import Any, TypeVar

from torch import nn
from torch.nn.utils import parametrize

from charloom.errors import InputError
from charloom.layers.deferred_restoration import restore_scripted
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.layers.torch_layers import LAYERS
from charloom.settings.limits import check_choice
from charloom.settings.model import LayerPrecision

_Module = TypeVar("_Module", bound=nn.Module)


class _EqualToTorch(type):
    """A metaclass whose classes equal the class of ``torch.nn`` that they replace, as keys of a dict too."""

    # Initializers, torch.ao.quantization and profilers compare type(layer) == nn.LSTM, or look the type up in a dict.
    def __eq__(cls, other: object) -> bool:
        return cls is other or vars(cls).get("_torch_class", cls) is other

    def __hash__(cls) -> int:
        # From vars(), not getattr: a subclass is another class than the one that its parent replaces.
        replaced = vars(cls).get("_torch_class")
        return type.__hash__(cls) if replaced is None else hash(replaced)


def _accelerated(layer: type, torch_class: type) -> type:
    """Creates the class that replaces a class of ``torch.nn``."""
    members = {
        "__doc__": f"Equal to ``torch.nn.{layer.__name__}``.",
        # torch.fx, among others, recognizes PyTorch's own layers by the module of their class.
        "__module__": torch_class.__module__,
        "__qualname__": f"_Accelerated.{layer.__name__}",
        "_torch_class": torch_class,
    }
    return _EqualToTorch(layer.__name__, (layer,), members)


_ACCELERATED = {layer.__name__: _accelerated(layer, getattr(nn, layer.__name__)) for layer in LAYERS.values()}
_CLASSES = [(getattr(nn, name), accelerated) for name, accelerated in _ACCELERATED.items()]


def _accelerated_named(name: str) -> type:
    return _ACCELERATED[name]


def _reduce_class(accelerated: type) -> Any:
    """Pickles an accelerated class by its name here, since pickle does not find it in its ``__module__``."""
    if _ACCELERATED.get(accelerated.__name__) is accelerated:
        return _accelerated_named, (accelerated.__name__,)
    return accelerated.__qualname__


copyreg.pickle(_EqualToTorch, _reduce_class)


def accelerate(module: _Module, *, precision: LayerPrecision | None = None) -> _Module:
    """Converts every ``torch.nn.RNN``, ``GRU`` and ``LSTM`` in a model to charloom's class, in place.

    The layers stay the same objects with the same parameters, hooks, ``state_dict`` and results, computed by the native
    kernels if these cover the call. ``type(layer) == torch.nn.LSTM`` remains true. Subclasses of the three classes stay
    unchanged, since they may define another ``forward``; parametrized layers are converted.

    Args:
        module: A layer, or any module with layers inside.
        precision: Precision of the kernels' products: float32; bfloat16 with float32 sums and weights; or int8 in
            calls without gradients (others compute in float32). If None, float32 for the layers that are converted;
            layers that are charloom's already keep theirs.

    Returns:
        The module itself.

    Raises:
        InputError: There is no such layer in the module.
        SettingsError: The precision is unknown.
    """
    if precision is not None:
        check_choice("precision", precision, LayerPrecision)
    if not isinstance(module, nn.Module):
        raise InputError(f"cannot accelerate an object of type {type(module).__name__}: pass a torch.nn.Module")
    restore_scripted(module)
    for layer in module.modules():
        # The class alone is exchanged: new layers would lose hooks and the references of optimizers and DDP.
        _exchange_class(layer, _CLASSES)
    layers = [layer for layer in module.modules() if isinstance(layer, RecurrentLayer)]
    if not layers:
        raise InputError(f"{type(module).__name__} contains no torch.nn.RNN, GRU or LSTM: nothing to accelerate")
    if precision is not None:
        for layer in layers:
            layer.precision = precision
    return module


def restore(module: _Module) -> _Module:
    """Converts every layer that ``accelerate`` changed back to the class of ``torch.nn``, in place.

    Args:
        module: A layer, or any module with layers inside. Layers created as ``charloom.layers.LSTM`` and the like stay
            unchanged.

    Returns:
        The module itself.

    Raises:
        InputError: ``module`` is not a module.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"cannot restore an object of type {type(module).__name__}: pass a torch.nn.Module")
    restore_scripted(module)
    for layer in module.modules():
        if _exchange_class(layer, ((accelerated, torch_class) for torch_class, accelerated in _CLASSES)):
            for name in ("_precision", "frozen_weights"):  # torch.nn's layers have no such attributes
                vars(layer).pop(name, None)
    return module


def _exchange_class(layer: nn.Module, classes: Iterable[tuple[type, type]]) -> bool:
    """Replaces the class of a layer if it is, apart from parametrizations, the first of one of the pairs.

    Returns:
        True if the class was replaced.
    """
    parametrized = parametrize.is_parametrized(layer)
    # A parametrized module's class is a subclass made for it, with a property for each parametrized tensor.
    own = type(layer).__bases__[0] if parametrized else type(layer)
    for old, new in classes:
        if old is own:  # identity: an accelerated class equals the class that it replaces
            if parametrized:
                automatic = ("__dict__", "__weakref__")  # Python creates these two for each class
                members = {name: value for name, value in vars(type(layer)).items() if name not in automatic}
                new = type(new)(type(layer).__name__, (new,), members)
            layer.__class__ = new
            return True
    return False
