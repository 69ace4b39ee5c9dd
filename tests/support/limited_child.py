"""A child process whose time and memory the kernel limits, for code that must not hang, crash or ask for too much."""

import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path


def in_child(act: Callable[[], str], *, seconds: int, longest: int, memory: int) -> str:
    """Runs ``act`` in a child; returns its result, ``crash`` with an error, or ``killed``.

    Args:
        act: The function to run.
        seconds: Limit of CPU time.
        longest: Limit of elapsed time in seconds, in case the child waits.
        memory: Bytes that it may allocate beyond the current ones.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        verdict = "?"
        try:
            signal.alarm(longest)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            limit = _address_space() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            try:
                verdict = act()
            except BaseException as error:
                # The traceback takes memory, and there may be none.
                verdict = f"crash: {error!r}"
                verdict = f"crash: {traceback.format_exc()[-900:]}"
            os.write(write_end, verdict.encode("utf-8", "replace")[:2000])
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        verdict = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return verdict if status == 0 and verdict else f"killed, status {status}"


def _address_space() -> int:
    """Returns the bytes of this process' address space."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
