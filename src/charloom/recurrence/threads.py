"""The number of threads of the native kernels and of PyTorch's operations between their calls.

By default the kernels use PyTorch's number of threads, or fewer if that is faster: one for little work, and one while
other programs keep the processors busy (``thread_choice.h``). PyTorch's own operations between two calls of the kernels
then use one thread. A number that the caller gives applies to both exactly.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charloom.recurrence.backend import backend


class _ThreadLocalLimit(threading.local):
    """The limit of the present Python thread.

    Attributes:
        limit: Value of ``thread_limit`` within ``use_threads``; None outside.
    """

    limit: int | None = None


_here = _ThreadLocalLimit()
_lock = threading.Lock()
# PyTorch passes its number on to new Python threads. A thread that starts within another thread's context would
# read the temporary number as the process's own, and restore it at its end for good.
_outside: list[int] = []
"""PyTorch's number of threads outside every ``use_threads``, once for each open context of any Python thread."""


def thread_limit() -> int:
    """Returns the maximum number of threads of the kernels; if negative, its absolute value is the exact number."""
    # The sign is the kernels' convention: with an exact number they do not look at the machine's load.
    return torch.get_num_threads() if _here.limit is None else _here.limit


@contextmanager
def use_threads(number: int | None = None) -> Iterator[None]:
    """Sets the number of threads of the kernels and of PyTorch's own operations within the context.

    Args:
        number: Exact number for both. If None, the kernels choose and PyTorch's operations use one thread; within
            another ``use_threads`` its choice stays, and without native kernels PyTorch's number stays.
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
        # OpenMP's threads spin between operations. Beside busy processes, each operation on several threads waits for
        # a time slice of the scheduler, which is longer than the operation by orders of magnitude.
        torch.set_num_threads(number or 1)
        yield
    finally:
        with _lock:
            _outside.pop()
        # The outermost context restores the process's number, whatever this thread inherited at its start.
        torch.set_num_threads(outside if limit_before is None else number_before)
        _here.limit = limit_before
