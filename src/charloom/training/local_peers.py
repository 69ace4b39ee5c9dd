"""The other processes of a run on the same machine, and whether they still run.

A collective of gloo was seen to wait without end after the loss of a process, although its connections were closed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.distributed_c10d import Store

_PROC = Path("/proc")


class LocalPeers:
    """Processes on this machine whose ids this process can check; none on systems other than Linux."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        self._pids = tuple(pids)

    @classmethod
    def exchange(cls, store: Store, rank: int, size: int) -> "LocalPeers":
        """Exchanges the process ids of all ranks through a store, and returns those of the other ones on this machine.

        Args:
            store: Store that all ranks share, with keys of these processes only.
            rank: Rank of this process.
            size: World size.
        """
        namespace = _describe_namespace()
        store.set(f"process/{rank}", f"{os.getpid()} {namespace}")
        found = [store.get(f"process/{other}").decode().split(" ", 1) for other in range(size) if other != rank]
        return cls([int(pid) for pid, other in found if other == namespace != ""])

    @property
    def is_one_lost(self) -> bool:
        """True if one of the processes has ended."""
        return not all(map(_is_running, self._pids))


def _describe_namespace() -> str:
    """Returns a text that is equal in processes that see the same process ids; empty if there is none."""
    try:
        boot = (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self' / 'ns' / 'pid').stat().st_ino}"
    except OSError:
        return ""


def _is_running(pid: int) -> bool:
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    # The state follows the name in parentheses, which may contain any character. Z: ended, but its parent has not
    # waited for it yet.
    return fields.rpartition(")")[2].split()[0] not in ("Z", "X")
