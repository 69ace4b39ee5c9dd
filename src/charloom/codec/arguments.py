"""What callers give: bytes, and numbers of threads."""

import os

from charloom.errors import InputError, SettingsError

_MOST_THREADS_UNASKED = 2
"""Each thread takes the tables of a session, tens of megabytes."""


def checked_threads(threads: int | None) -> int:
    """The number asked for, or the usual one. Raises SettingsError."""
    if threads is None:
        return min(_processors(), _MOST_THREADS_UNASKED)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingsError("it must be a whole number, 1 or more", setting="threads", value=threads)
    return threads


def as_bytes(data: bytes) -> bytes:
    """Anything like bytes as bytes. Raises InputError for the rest."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputError(f"a {type(data).__name__} cannot be compressed: give bytes")
    return bytes(data)


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
