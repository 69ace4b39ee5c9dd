"""Settings that PyTorch's users enable around their calls: a table, ``SETTINGS``, of context managers."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from torch_transforms import scaled_gradient, scaled_input, scaled_output


class _CountedFunctions(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


class _CountedOperators(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _default_device(device: str) -> Iterator[None]:
    with torch.device(device):
        yield


@contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def _hooked(register: Callable[..., Any], hook: Callable[..., Any]) -> Iterator[None]:
    """Registers a hook on all modules."""
    handle = register(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _in_class(name: str, change: Callable[[Any], Any], *kinds: Any) -> Iterator[None]:
    """Replaces a method of classes of ``torch.nn``."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds:
            patch.setattr(kind, name, change(getattr(kind, name)))
        yield


def _of_scaled_input(method: Any) -> Any:
    def changed(self: Any, first: Any, *arguments: Any, **options: Any) -> Any:
        scaled = isinstance(first, Tensor) and first.is_floating_point()
        return method(self, first * 2 if scaled else first, *arguments, **options)

    return changed


def _fake() -> AbstractContextManager[Any]:
    return FakeTensorMode(allow_non_fake_inputs=True)


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "default dtype float64": lambda: _default_dtype(torch.float64),
    "default dtype float16": lambda: _default_dtype(torch.float16),
    "default dtype bfloat16": lambda: _default_dtype(torch.bfloat16),
    "default device meta": lambda: _default_device("meta"),
    "default device cpu": lambda: _default_device("cpu"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "enable_grad": torch.enable_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast, off": lambda: torch.autocast("cpu", enabled=False),
    "anomaly mode": torch.autograd.detect_anomaly,
    "deterministic": _deterministic,
    "fake tensors": _fake,
    "FLOP counter": lambda: FlopCounterMode(display=False),
    "torch function mode": _CountedFunctions,
    "torch dispatch mode": _CountedOperators,
    "save_on_cpu": torch.autograd.graph.save_on_cpu,
    "allow_mutation_on_saved_tensors": torch.autograd.graph.allow_mutation_on_saved_tensors,
    "disable_saved_tensors_hooks": lambda: torch.autograd.graph.disable_saved_tensors_hooks("none, please"),
    "multithreading off": lambda: torch.autograd.set_multithreading_enabled(False),
    "another nn.RNN.forward": lambda: _in_class("forward", _of_scaled_input, nn.RNN, nn.GRU, nn.LSTM),
    "another nn.Linear.forward": lambda: _in_class("forward", _of_scaled_input, nn.Linear),
    "another nn.Module.__call__": lambda: _in_class("__call__", _of_scaled_input, nn.Module),
    "global forward hook": lambda: _hooked(modules.register_module_forward_hook, scaled_output),
    "global forward pre-hook": lambda: _hooked(modules.register_module_forward_pre_hook, scaled_input),
    "global full backward hook": lambda: _hooked(modules.register_module_full_backward_hook, scaled_gradient),
    "global full backward pre-hook": lambda: _hooked(modules.register_module_full_backward_pre_hook, scaled_gradient),
}
CHANGING = {name for name in SETTINGS if name.startswith(("another ", "global "))}
"""Settings that change values by design."""
