"""A child process that the kernel keeps to its time and memory, for what must not hang, crash or ask for too much."""

import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path


def in_child(act: Callable[[], str], *, seconds: int, longest: int, memory: int) -> str:
    """How it ends: ``act``'s word for it, or ``crash``, or ``killed``.

    seconds: Of the processor's time. longest: Of the clock's, against waiting. memory: Bytes more than there are now.
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
                # The traceback takes memory, of which there may be none.
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
    """Bytes that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
