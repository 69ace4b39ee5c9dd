"""Turns the recurrent layers of any PyTorch model into charloom's, in place, and back."""

import copyreg
from collections.abc import Iterable
from typing import Any, TypeVar

from torch import nn
from torch.nn.utils import parametrize

from charloom.errors import InputError
from charloom.layers.recurrent_layer import RecurrentLayer, Resume
from charloom.layers.torch_layers import LAYERS
from charloom.settings.limits import check_choice
from charloom.settings.model import Precision

_Module = TypeVar("_Module", bound=nn.Module)


class _EqualToTorch(type):
    """Makes an accelerated class equal to the class of ``torch.nn`` that it stands for, as a key of a dict too.

    Initializers, ``torch.ao.quantization`` and profilers ask ``type(layer) == nn.LSTM`` or look the type up.
    """

    def __eq__(cls, other: object) -> bool:
        return cls is other or vars(cls).get("_torch_class", cls) is other

    def __hash__(cls) -> int:
        stands_for = vars(cls).get("_torch_class")
        return type.__hash__(cls) if stands_for is None else hash(stands_for)


def _accelerated(layer: type, torch_class: type) -> type:
    """A class equal to one of ``torch.nn``.

    Its module is PyTorch's too, by which ``torch.fx`` and others recognize its own layers.
    """
    members = {
        "__doc__": f"Equal to ``torch.nn.{layer.__name__}``.",
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
    """Lets pickle find a class that is not where its ``__module__`` says."""
    if _ACCELERATED.get(accelerated.__name__) is accelerated:
        return _accelerated_named, (accelerated.__name__,)
    return accelerated.__qualname__


copyreg.pickle(_EqualToTorch, _reduce_class)


def accelerate(module: _Module, *, precision: Precision | None = None) -> _Module:
    """Turns every ``torch.nn.RNN``, ``GRU`` and ``LSTM`` in a model into charloom's, in place.

    The layers stay the same objects with the same parameters, hooks, ``state_dict`` and results, computed by the native
    kernels if these cover the call. ``type(layer) == torch.nn.LSTM`` remains true. Subclasses of those three are left
    as they are, since their ``forward`` is their own; parametrized layers are accelerated.

    Args:
        module: A layer, or any module with layers inside.
        precision: Precision of the kernels' products: float32, or bfloat16 with float32 sums and weights. None: float32
            for the layers that are changed; those that are charloom's already keep theirs.

    Returns:
        The module itself.

    Raises:
        InputError: There is no such layer in the module.
        SettingsError: The precision is unknown.
    """
    if precision is not None:
        check_choice("precision", precision, Precision)
    if not isinstance(module, nn.Module):
        raise InputError(f"a {type(module).__name__} is not a torch.nn.Module: nothing to accelerate")
    for layer in module.modules():
        _exchange_class(layer, _CLASSES)
    layers = [layer for layer in module.modules() if isinstance(layer, RecurrentLayer)]
    if not layers:
        raise InputError(f"{type(module).__name__} has no torch.nn.RNN, GRU or LSTM inside: nothing to accelerate")
    if precision is not None:
        for layer in layers:
            layer.precision = precision
    return module


def restore(module: _Module) -> _Module:
    """Turns every layer that ``accelerate`` changed back into ``torch.nn``'s class, in place.

    Args:
        module: A layer, or any module with layers inside. Layers made as ``charloom.layers.LSTM`` stay as they are.

    Returns:
        The module itself.

    Raises:
        InputError: ``module`` is not a module.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"a {type(module).__name__} is not a torch.nn.Module: nothing to restore")
    for layer in module.modules():
        if isinstance(layer._compiled_call_impl, Resume):
            layer._compiled_call_impl.resume()
        if _exchange_class(layer, ((accelerated, torch_class) for torch_class, accelerated in _CLASSES)):
            vars(layer).pop("_precision", None)
    return module


def _exchange_class(layer: nn.Module, classes: Iterable[tuple[type, type]]) -> bool:
    """Gives a layer that is of exactly a first class, parametrizations aside, the second; tells if it is of one.

    By identity: some classes are equal.
    """
    parametrized = parametrize.is_parametrized(layer)
    # A parametrized module's class is a subclass made for it, with a property for each parametrized tensor.
    own = type(layer).__bases__[0] if parametrized else type(layer)
    for old, new in classes:
        if old is own:
            if parametrized:
                made = ("__dict__", "__weakref__")  # for each class
                members = {name: value for name, value in vars(type(layer)).items() if name not in made}
                new = type(new)(type(layer).__name__, (new,), members)
            layer.__class__ = new
            return True
    return False
