"""The class of a layer after ``torch.jit.script``, which needs PyTorch's own class and leaves the layer with it."""

from functools import partial
from typing import Any

from torch import nn


class DeferredRestoration:
    """The return of a layer from the class that ``torch.jit.script`` needs to its own, at its next use in Python."""

    # torch.jit.script works on the model itself, not on a copy, and has no callback for its end. Until the next use,
    # the layer's instance has members that restore the class first: one in the place of Module.__call__, as
    # Module.compile sets it; one for begin_state, which PyTorch's class lacks; one for copies, which would keep
    # PyTorch's class; and one for train, which ends the frozen state.

    def __init__(self, layer: nn.Module, layer_class: type[nn.Module]) -> None:
        self._layer, self._class = layer, layer_class
        self._compiled_before = vars(layer).get("_compiled_call_impl")
        self._members = {name: partial(self._use, name) for name in ("begin_state", "train", "__reduce_ex__")}
        vars(layer).update(self._members, _compiled_call_impl=self, precision=vars(layer).get("_precision", "float32"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Restores the layer's class and calls the layer."""
        return self._use("__call__", *args, **kwargs)

    def _use(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.restore()
        return getattr(self._layer, name)(*args, **kwargs)

    def restore(self) -> None:
        """Restores the layer's class and members; a precision that was set since then is kept."""
        layer: Any = self._layer
        if vars(layer).get("_compiled_call_impl") is self:
            layer._compiled_call_impl = self._compiled_before
        for name in self._members:
            vars(layer).pop(name, None)
        layer.__class__ = self._class
        precision = vars(layer).pop("precision", layer.precision)
        if precision != layer.precision:
            layer.precision = precision


def restore_scripted(module: nn.Module) -> None:
    """Restores the class of every layer in a module that ``torch.jit.script`` has left in PyTorch's class."""
    # torch.jit.script has no callback for its end, so each function that depends on the class calls this one.
    for layer in module.modules():
        if isinstance(layer._compiled_call_impl, DeferredRestoration):
            layer._compiled_call_impl.restore()
