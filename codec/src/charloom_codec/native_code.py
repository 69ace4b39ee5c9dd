"""The backend that the environment variable ``CHARLOOM_KERNELS`` selects, for tests and debugging.

- ``auto`` (default): native code for the best instruction set of the CPU; PyTorch (in the codec, plain Python) if
  charloom was installed without native code.
- ``reference``: the specification: the equations step by step, the codec in plain Python.
- ``pytorch``: PyTorch's own layers; in the codec, plain Python.
- the name of an instruction set: native code for that instruction set.
"""

import os
from collections.abc import Mapping, Sequence

from charloom_codec.errors import SettingsError

VARIABLE = "CHARLOOM_KERNELS"
_NOT_NATIVE = ("reference", "pytorch")
_CHOICES = ("auto", *_NOT_NATIVE, "scalar", "avx2", "avx512", "avx512bf16", "avx512vnni", "amx")


def choose(supported: Sequence[str], same_as: Mapping[str, Sequence[str]] | None = None) -> str:
    """Returns the selected backend: ``reference``, ``pytorch`` or one of the supported instruction sets.

    Args:
        supported: Instruction sets of this machine, the best last.
        same_as: Names to try, in this order, for an instruction set of the other native module.

    Raises:
        SettingsError: The variable has an unknown value, or names an instruction set that this machine lacks.
    """
    choice = os.environ.get(VARIABLE, "auto")
    # A misspelled name must not select another backend without notice.
    if choice not in _CHOICES:
        raise SettingsError(f"{VARIABLE}={choice}: choose one of {', '.join(_CHOICES)}")
    if choice == "auto":
        return supported[-1] if supported else "pytorch"
    # The codec and the recurrence are built for different instruction sets, and one variable selects both.
    for name in (same_as or {}).get(choice, (choice,)):
        if name in _NOT_NATIVE or name in supported:
            return name
    problem = "not available: charloom was installed without native kernels"
    if supported:
        problem = f"not available on this machine; choose one of {', '.join(supported)}"
    raise SettingsError(f"{VARIABLE}={choice}: {problem}")
