"""Helpers of the native kernels' tests: the instruction sets to run them on, and the choice between them."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from charloom.recurrence.backend import use_backend

try:
    import torch  # noqa: F401 - first: its OpenMP library is the one that both use

    import charloom._kernels as native

    INSTRUCTION_SETS: list[str] = [kernels.name for kernels in native.supported()]
except ImportError:
    INSTRUCTION_SETS = []
if os.environ.get("CHARLOOM_KERNELS") in ("pytorch", "reference"):  # the suite runs as if there were none
    INSTRUCTION_SETS = []

Switch: TypeAlias = Callable[[str], None]
"""A function that chooses the backend, by the values of the environment variable."""


@contextmanager
def switching() -> Iterator[Switch]:
    """Yields a function that chooses the backend within the context."""
    with ExitStack() as stack:
        yield lambda word: stack.enter_context(use_backend(word))
