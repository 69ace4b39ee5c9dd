"""What computes, by the environment variable ``CHARLOOM_KERNELS``; for tests and for users who debug.

- ``auto`` (default): native code for the best instruction set that the processor has; PyTorch (in the codec, plain
  Python) if charloom was installed without native code.
- ``reference``: the specification: the equations step by step, the codec's plain Python.
- ``pytorch``: PyTorch's own layers; in the codec, plain Python.
- the name of an instruction set: native code for that one.
"""

import os
from collections.abc import Mapping, Sequence

from charloom.errors import SettingsError

VARIABLE = "CHARLOOM_KERNELS"
_PLAIN = ("reference", "pytorch")
_WORDS = ("auto", *_PLAIN, "scalar", "avx2", "avx512", "avx512bf16", "avx512vnni", "amx")


def choose(supported: Sequence[str], same_as: Mapping[str, Sequence[str]] | None = None) -> str:
    """What the environment asks for: ``reference``, ``pytorch`` or one of the ``supported``, the best last.

    same_as: What is tried, in this order, for the name of another module's instruction set. Raises SettingsError for an
    unknown word, or an instruction set that this machine lacks.
    """
    word = os.environ.get(VARIABLE, "auto")
    if word not in _WORDS:
        raise SettingsError(f"{VARIABLE}={word}: choose one of {', '.join(_WORDS)}")
    if word == "auto":
        return supported[-1] if supported else "pytorch"
    for name in (same_as or {}).get(word, (word,)):
        if name in _PLAIN or name in supported:
            return name
    has = f"it has {', '.join(supported)}" if supported else "charloom was installed without native kernels"
    raise SettingsError(f"{VARIABLE}={word}: not available here; {has}")
