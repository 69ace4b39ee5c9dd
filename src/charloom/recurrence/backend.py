"""The choice of the backend that computes recurrences, and the calls that the native kernels cover.

``charloom_codec.native_code`` describes how an environment variable selects the backend. Calls that the kernels do not
cover (``covers``) are computed by PyTorch, whichever backend is selected.
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
from charloom_codec.cells import check_native_cells
from charloom_codec.native_code import VARIABLE, choose

if TYPE_CHECKING:
    from charloom._kernels import Kernels as Kernels
else:
    Kernels = object  # charloom may have been installed without them


class Backend(NamedTuple):
    """The code that computes recurrences.

    Attributes:
        name: ``reference``, ``pytorch`` or an instruction set.
        kernels: Native kernels for the instruction set; None for ``reference`` and ``pytorch``.
    """

    name: str
    kernels: Kernels | None

    def describe(self) -> str:
        """Returns a description of the backend for messages."""
        if self.kernels is not None:
            return f"native kernels ({self.name})"
        if self.name == "reference":
            return "reference (the equations, step by step)"
        if _supported():
            return "PyTorch's own"
        return (
            "PyTorch's own (charloom was installed without native kernels; to build them, install a C++ compiler and "
            "reinstall charloom)"
        )


# torch.compile would otherwise trace the lookup in the environment, and break the graph there.
@constant_for_compiler
def backend() -> Backend:
    """Returns the backend of this process; the environment is read at the first call.

    Raises:
        SettingsError: The environment names a backend that is unknown or not available on this machine.
    """
    return _resolved()


@functools.cache
def _resolved() -> Backend:
    supported = _supported()
    # The codec has kernels for avx512vnni, these have not: one variable selects both, so the name is valid here too.
    name = choose(list(supported), {"avx512vnni": ("avx512",)})
    return Backend(name, supported.get(name))


# A parent may set the variable between its own first call and a fork. Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_resolved.cache_clear)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Selects another backend for this process, and for those that it starts, within the context.

    Args:
        name: Value of the environment variable; checked when a recurrence is next computed.
    """
    before = os.environ.get(VARIABLE)
    # Through the environment, because child processes must inherit the choice.
    os.environ[VARIABLE] = name
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
        # After torch, whose OpenMP library it then shares: a second library would mean a second pool of threads.
        import charloom._kernels as native
    except ImportError:
        return {}
    # Extension and Python code may come from two versions of charloom: a cell must have the same number in both.
    check_native_cells("charloom._kernels", getattr(native, "CELLS", {}))
    return {kernels.name: kernels for kernels in native.supported()}


def kernels_named(name: str) -> Kernels:
    """Returns the kernels for an instruction set that this machine supports."""
    return _supported()[name]


def covers(*tensors: Tensor) -> bool:
    """Returns True if the kernels can compute with these tensors now, with the results of PyTorch's operators.

    The kernels take plain float32 tensors on the CPU, if nothing observes or changes PyTorch's operators: autocast,
    function transforms (``torch.func``), forward-mode differentiation, dispatch modes (``FakeTensorMode``, FLOP
    counters), the capture of a graph for another runtime (``torch.jit.trace``, ``torch.export``, ONNX), or hooks on
    saved tensors (checkpointing, lossy compression).
    """
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_exporting():
        return False
    # The graph runs in this process only, and its guards check dtypes and devices; its tensors have no address yet.
    if torch.compiler.is_compiling():
        return not is_transformed() and all(t.dtype is torch.float32 and t.is_cpu and t.numel() for t in tensors)
    # Hooks could alter the saved reserve, whose bytes have a meaning for the kernels only.
    return not has_saved_tensor_hooks() and not is_observed() and all(map(dense_address, tensors))
