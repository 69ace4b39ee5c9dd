"""How many threads the native kernels may take.

As many as PyTorch's, and fewer where that is quicker: for little work, and while other programs keep the processors
busy. A number that was asked for is kept to.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_fixed = False


def thread_limit() -> int:
    """PyTorch's number of threads; negative where it is to be kept to whatever the machine does."""
    number = torch.get_num_threads()
    return -number if _fixed else number


@contextmanager
def use_threads(number: int | None) -> Iterator[None]:
    """PyTorch and the kernels take exactly this number of threads for as long as the context lasts; None: as before."""
    global _fixed
    if number is None:
        yield
        return
    before = torch.get_num_threads(), _fixed
    torch.set_num_threads(number)
    _fixed = True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        _fixed = before[1]
