"""Reads at a position of an open file that do not depend on its offset.

Threads and forked processes share the offset of a file that they share: ``seek`` and ``read`` would return each other's
bytes.
"""

import os
import threading

if hasattr(os, "pread"):
    read_at = os.pread
else:  # Windows has no pread: the lock keeps another thread from seeking between the two calls
    _reading = threading.Lock()

    def read_at(descriptor: int, size: int, start: int) -> bytes:
        """Returns up to ``size`` bytes from position ``start``, as ``os.pread`` does."""
        with _reading:
            os.lseek(descriptor, start, os.SEEK_SET)
            return os.read(descriptor, size)
