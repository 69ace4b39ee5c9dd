"""The one place that chooses how a recurrence is computed, and on how many threads.

The environment variable ``CHARLOOM_KERNELS`` forces a path, for tests and for users who debug:

- ``auto`` (default): the native kernels of the best instruction set that the processor has; PyTorch's own layers where
  the package was built without kernels.
- ``reference``: the equations, step by step.
- ``pytorch``: PyTorch's own layers.
- ``scalar``, ``avx2``, ``avx512``, ``avx512bf16``, ``amx``: the kernels of one instruction set.

Whatever is chosen, what the kernels do not cover (``covers``, ``covers_layers``) is PyTorch's to compute.
"""

import functools
import os
from typing import Any, Literal, TypeAlias, cast, get_args

import torch
from torch.autograd import forward_ad

from charloom.errors import SettingsError
from charloom.recurrence.kernel_arguments import dense_address
from charloom.settings.cells import check_native_cells

InstructionSet: TypeAlias = Literal["scalar", "avx2", "avx512", "avx512bf16", "amx"]
Path: TypeAlias = Literal["auto", "reference", "pytorch", InstructionSet]
VARIABLE = "CHARLOOM_KERNELS"


def chosen_path() -> Path:
    """The path that the environment asks for. Raises SettingsError for a word it does not know."""
    word = os.environ.get(VARIABLE, "auto")
    if word not in _words():
        raise SettingsError(f"{VARIABLE}={word}: choose one of {', '.join(_words())}")
    return cast(Path, word)


def available_path() -> str:
    """The path that ``chosen_path`` comes to on this machine: ``reference``, ``pytorch`` or an instruction set.

    Raises SettingsError for an instruction set that this processor or this build does not have.
    """
    path, supported = chosen_path(), _supported()
    if path == "auto":
        return next(reversed(supported), "pytorch")
    if path not in ("reference", "pytorch", *supported):
        has = f"it has {', '.join(supported)}" if supported else "charloom was installed without native kernels"
        raise SettingsError(f"{VARIABLE}={path}: not available here; {has}")
    return path


def kernels_of(path: str) -> Any:
    """The native kernels of an instruction set (``charloom._kernels.Kernels``); None for other paths."""
    return _supported().get(path)


def chosen_kernels() -> Any:
    """The native kernels to compute with, or None for PyTorch's own layers. Raises as ``available_path``."""
    return kernels_of(available_path())


def covers(*tensors: Any) -> bool:
    """Tells if the kernels can compute with these now, with the results that PyTorch's operators would have.

    They take plain float32 tensors on the CPU, when nothing observes or changes what PyTorch's operators do: autocast,
    function transforms (``torch.func``), forward-mode differentiation, dispatch modes (``FakeTensorMode``, FLOP
    counters), the capture of a graph that others will run (``torch.jit.trace``, ``torch.export``, ONNX), and hooks on
    saved tensors (checkpointing, lossy compression), which would alter what only the kernels can read.
    """
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_exporting():
        return False
    if torch.compiler.is_compiling():  # the graph is for this process, and its guards hold dtypes and devices
        return not _is_transformed() and all(t.dtype is torch.float32 and t.is_cpu and t.numel() for t in tensors)
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(False)  # False: while tracing too
    return hooks is None and not is_observed() and all(map(dense_address, tensors))


def covers_layers(num_layers: int) -> bool:
    """Tells if the kernels take a model of so many layers in one call; one by one they take any number."""
    kernels = chosen_kernels()
    return kernels is not None and num_layers <= kernels.max_layers


def _is_transformed() -> bool:
    return torch._C._functorch.peek_interpreter_stack() is not None


def is_differentiated() -> bool:
    """True inside a function transform or forward-mode differentiation."""
    return _is_transformed() or forward_ad._current_level >= 0


def is_observed() -> bool:
    """True inside a function transform, forward-mode differentiation, a dispatch mode, or ``torch.jit.trace``."""
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._dispatch_tls_is_dispatch_key_included(torch._C.DispatchKey.PreDispatch)  # of make_fx, torch.export
        or torch._C._get_tracing_state() is not None
    )


for _question in (chosen_path, available_path, chosen_kernels, _is_transformed):
    # torch.compile takes what these answer, and does not trace them into C++. As torch.compiler.assume_constant_result,
    # which would import the compiler for everyone.
    vars(_question)["_dynamo_marked_constant"] = True


def describe_path() -> str:
    """What computes the recurrences, in words, for ``charloom info``."""
    path = chosen_path()
    if path == "reference":
        return "reference (the equations, step by step)"
    kernels = chosen_kernels()
    if kernels is not None:
        return f"native kernels ({kernels.name})"
    if path == "pytorch":
        return "PyTorch's own"
    return "PyTorch's own (charloom was installed without native kernels: no C++ compiler was found then)"


@functools.cache
def _words() -> tuple[str, ...]:
    *words, instruction_sets = get_args(Path)[:3], get_args(InstructionSet)
    return (*words[0], *instruction_sets)


@functools.cache
def _supported() -> dict[str, Any]:
    try:
        # After torch, whose OpenMP library it then shares: a second one would mean a second pool of threads.
        import charloom._kernels as native
    except ImportError:
        return {}
    check_native_cells("charloom._kernels", getattr(native, "CELLS", {}))
    return {kernels.name: kernels for kernels in native.supported()}
