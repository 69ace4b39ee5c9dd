"""The one place that chooses what computes a recurrence, and tells what the native kernels cover.

``settings.native_code`` says how the environment chooses. Whatever is chosen, what the kernels do not cover
(``covers``) is PyTorch's to compute.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from charloom.recurrence.kernel_arguments import dense_address
from charloom.recurrence.torch_internals import (
    constant_for_compiler,
    has_saved_tensor_hooks,
    is_observed,
    is_transformed,
)
from charloom.settings.cells import check_native_cells
from charloom.settings.native_code import VARIABLE, choose

if TYPE_CHECKING:
    from charloom._kernels import Kernels as Kernels
else:
    Kernels = object  # charloom may have been installed without them


class Backend(NamedTuple):
    """What computes the recurrences.

    Attributes:
        name: ``reference``, ``pytorch`` or an instruction set.
        kernels: Those of the instruction set; None for the two others.
    """

    name: str
    kernels: Kernels | None

    def describe(self) -> str:
        """What computes, in words."""
        if self.kernels is not None:
            return f"native kernels ({self.name})"
        if self.name == "reference":
            return "reference (the equations, step by step)"
        if _supported():
            return "PyTorch's own"
        return "PyTorch's own (charloom was installed without native kernels: no C++ compiler was found then)"


@constant_for_compiler
def backend() -> Backend:
    """What computes the recurrences in this process; the environment is read at the first call.

    Raises:
        SettingsError: The environment asks for what is unknown, or not available here.
    """
    return _resolved()


@functools.cache
def _resolved() -> Backend:
    supported = _supported()
    name = choose(list(supported), {"avx512vnni": ("avx512",)})  # a name of the codec's
    return Backend(name, supported.get(name))


if hasattr(os, "register_at_fork"):  # a forked process reads the environment too
    os.register_at_fork(after_in_child=_resolved.cache_clear)


@contextmanager
def use_backend(word: str) -> Iterator[None]:
    """Has this process, and those that it starts, compute by another backend for as long as the context lasts.

    Args:
        word: As in the environment; it is looked at when something is computed.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = word
    _resolved.cache_clear()
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        _resolved.cache_clear()


@functools.cache
def _supported() -> dict[str, Kernels]:
    try:
        # After torch, whose OpenMP library it then shares: a second one would mean a second pool of threads.
        import charloom._kernels as native
    except ImportError:
        return {}
    check_native_cells("charloom._kernels", getattr(native, "CELLS", {}))
    return {kernels.name: kernels for kernels in native.supported()}


def kernels_named(name: str) -> Kernels:
    """The kernels of an instruction set that this machine has."""
    return _supported()[name]


def covers(*tensors: Tensor) -> bool:
    """Tells if the kernels can compute with these now, with the results that PyTorch's operators would have.

    They take plain float32 tensors on the CPU, when nothing observes or changes what PyTorch's operators do: autocast,
    function transforms (``torch.func``), forward-mode differentiation, dispatch modes (``FakeTensorMode``, FLOP
    counters), the capture of a graph that others will run (``torch.jit.trace``, ``torch.export``, ONNX), and hooks on
    saved tensors (checkpointing, lossy compression), which would alter what only the kernels can read.
    """
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_exporting():
        return False
    if torch.compiler.is_compiling():  # the graph is for this process, and its guards hold dtypes and devices
        return not is_transformed() and all(t.dtype is torch.float32 and t.is_cpu and t.numel() for t in tensors)
    return not has_saved_tensor_hooks() and not is_observed() and all(map(dense_address, tensors))
