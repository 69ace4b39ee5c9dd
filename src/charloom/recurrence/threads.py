"""How many threads a computation takes.

The native kernels take PyTorch's number, and fewer if that is faster: one for little work, and one while other programs
keep the processors busy (``thread_choice.h``). PyTorch's own operations between two calls of the kernels take
one: the threads of OpenMP spin between operations, and beside busy processes each operation on several threads waits
for a time slice of the scheduler, which is longer than the operation by orders of magnitude. A number that was asked
for is kept to by both.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charloom.recurrence.backend import backend


class _OfThisThread(threading.local):
    """limit: As ``thread_limit``, within ``use_threads``; None outside."""

    limit: int | None = None


_here = _OfThisThread()
_lock = threading.Lock()
_outside: list[int] = []
"""PyTorch's number of threads outside every ``use_threads``, once for each context that any Python thread is within.

PyTorch hands its number to new Python threads: read within another thread's context, it would be the wrong one, and put
back later it would stay.
"""


def thread_limit() -> int:
    """The most threads that the kernels take; negative if they take exactly so many, however busy the machine is."""
    return torch.get_num_threads() if _here.limit is None else _here.limit


@contextmanager
def use_threads(number: int | None = None) -> Iterator[None]:
    """Sets the threads of the kernels and of PyTorch's own operations for as long as the context lasts.

    Args:
        number: Exactly so many for both. None: the kernels choose, and PyTorch takes one; within another context, as
            there; without native kernels, as outside.
    """
    if number is None and (_here.limit is not None or backend().kernels is None):
        yield
        return
    limit_before, number_before = _here.limit, torch.get_num_threads()
    with _lock:
        outside = _outside[0] if _outside else torch.get_num_threads()
        _outside.append(outside)
    try:
        _here.limit = outside if number is None else -number
        torch.set_num_threads(number or 1)
        yield
    finally:
        with _lock:
            _outside.pop()
        torch.set_num_threads(outside if limit_before is None else number_before)
        _here.limit = limit_before
