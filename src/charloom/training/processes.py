"""Distributed data-parallel training: the process group, its rendezvous and its collectives.

The processes, on one or more machines, are started by torchrun or another launcher that sets RANK, WORLD_SIZE,
MASTER_ADDR and MASTER_PORT, as Slurm scripts and Kubeflow do. Each process has a replica of the model and a part of the
sequences of each minibatch: of B sequences, rank r of W reads the rows r B/W to (r + 1) B/W. ``shared_gradients``
averages their gradients.
"""

import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore, Store, Work
from torch.distributed.rendezvous import rendezvous

from charloom.errors import Argument, InputError, OtherProcessFailedError, ProcessLostError, SettingsError
from charloom.settings.training import TrainingSettings
from charloom.training.local_peers import LocalPeers

_TIMEOUT = timedelta(minutes=30)
"""Timeout of rendezvous and collectives. One process may encode a long text that another has cached, so it is long. The
loss of a process is noticed at once, because its connections close, or by its process id."""
_POLL_SECONDS = 0.02
_SIGNAL_INTERVAL = timedelta(seconds=1)
"""Time after which a waiting collective handles signals, and looks whether the other processes still run."""
_STARTED, _RUN = "charloom/started", "charloom/run"
_REQUIRED_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """The process group as one of its processes sees it; by default a single process.

    Attributes:
        rank: Rank of this process, from 0. Rank 0 writes files and displays progress.
        size: World size: number of processes.
        device: Device of this process; None for the settings' device.
        restarts: Number of restarts by torchrun after training started, each after the loss of a process.
        store: Key-value store of the rendezvous, which torchrun keeps through restarts; None without a
            rendezvous.
        run: Identifier of the run, the same after each restart; that of rank 0 counts.
        peers: The other processes on this machine.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None
    restarts: int = 0
    store: Store | None = field(default=None, repr=False, compare=False)
    run: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)
    peers: LocalPeers = field(default_factory=LocalPeers, repr=False, compare=False)

    @property
    def is_rank_zero(self) -> bool:
        """True for rank 0, which writes files and displays progress."""
        return self.rank == 0

    def mark_training_started(self) -> None:
        """Marks the start of training in the store of torchrun, if there is one; starts nothing.

        A restart after this call resumes the run, an earlier one repeats the start.
        """
        if self.store is not None and self.is_rank_zero:
            self.store.set(_RUN, self.run)
            self.store.add(_STARTED, 1)

    def check_settings(self, settings: TrainingSettings) -> None:
        """Checks the settings against the world size.

        Raises SettingsError if the batch size is not a multiple of the world size, or if gradient accumulation is used
        with more than one process.
        """
        batch_size = settings.batch_size
        if self.size > 1 and settings.gradient_accumulation_steps > 1:
            raise SettingsError(
                "gradient accumulation requires a single process; omit this setting, and set ",
                *(Argument("batch_size"), " to the number of sequences per step in all "),
                f"{self.size} processes together",
                setting="gradient_accumulation_steps",
                value=settings.gradient_accumulation_steps,
            )
        if batch_size % self.size:
            raise SettingsError(
                f"it must be a multiple of the number of processes ({self.size}), such as "
                f"{batch_size // self.size * self.size or self.size}",
                setting="batch_size",
                value=batch_size,
            )

    def check_equal(self, **given: object) -> None:
        """Raises InputError, in all processes, for an argument whose repr is not equal in all of them.

        This is a collective: all processes must call it, with the same names, which become words of the message.
        """
        # Hashes have one length, and all_gather requires tensors of equal shapes.
        hashes = [list(sha256(repr(thing).encode()).digest()) for thing in given.values()]
        gathered = torch.stack(self.all_gather(torch.tensor(hashes, device="cpu")))
        for name, values in zip(given, gathered.unbind(1), strict=True):
            if (values != values[0]).any():
                what = name.replace("_", " ")
                raise InputError(f"the processes of this run differ in their {what}: use the same one in every process")

    def get_rows_of_rank(self, rows: int) -> slice:
        """Returns this rank's slice of a number of rows; sizes differ by at most one between ranks."""
        return slice(self.rank * rows // self.size, (self.rank + 1) * rows // self.size)

    def all_gather(self, part: Tensor) -> list[Tensor]:
        """Returns the tensors of all ranks, by rank, on each rank. Shapes and dtypes must be equal.

        They are detached copies on the CPU. A single process, however, gets the tensor that it passed.
        """
        if self.size == 1:
            return [part]
        part = part.detach().cpu().contiguous()
        parts = [torch.empty_like(part) for _ in range(self.size)]
        self.call_collective(lambda: distributed.all_gather(parts, part, async_op=True))
        return parts

    def call_collective(self, start: Callable[[], Work | None]) -> None:
        """Starts a collective and waits for it; signal handlers run meanwhile.

        Raises ProcessLostError if it fails, or does not end, because another process is lost.

        Args:
            start: Starts the collective and returns its work. None if there is nothing to wait for, as after NCCL's
                collectives, which do not block and whose wait with a time limit would abort the process group.
        """
        problem = "another process of this run ended or can no longer be reached"
        try:
            work = start()
            while work is not None and not _has_completed(work):
                # Once more, because a process may end after it has sent its part.
                if self.peers.is_one_lost and not _has_completed(work):
                    raise ProcessLostError(problem)
        except RuntimeError as error:
            if isinstance(error, distributed.DistError) or re.search("gloo|Connection", str(error)):
                raise ProcessLostError(f"{problem} ({_extract_reason(error)})") from error
            raise

    @contextmanager
    def barrier(self) -> Iterator[None]:
        """Returns a context at whose end all processes wait for each other and exchange whether their block failed.

        If a block failed with an exception, each process raises an error: the lowest rank that failed its own, all
        others an OtherProcessFailedError.
        """
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.size == 1:
                raise
            failure = error
        failed = [bool(flag) for flag in self.all_gather(torch.tensor(failure is not None))]
        if failure is not None and not any(failed[: self.rank]):
            raise failure
        if any(failed) and self.size > 1:
            raise OtherProcessFailedError(
                f"process {failed.index(True)} of this run failed; see its error message"
            ) from failure


@contextmanager
def init_processes(device: str = "auto") -> Iterator[Processes]:
    """Initializes the process group for the duration of the context; without torchrun, a single process.

    device: Device, as in the settings. gloo is used on CPUs, NCCL on GPUs, with one GPU per process. Raises
    SettingsError if the other processes cannot be reached, or if this process has no GPU.
    """
    alone = os.environ.get("WORLD_SIZE", "1") == "1" and not distributed.is_torchelastic_launched()
    if alone or not all(os.environ.get(name) for name in _REQUIRED_VARIABLES):
        yield Processes()
        return
    # Before the rendezvous, so that a process without a GPU fails at once.
    own_device = _select_device(device)
    try:
        with _default_signal_handlers():
            store, rank, size = next(rendezvous("env://", timeout=_TIMEOUT))
            store.set_timeout(_TIMEOUT)
            prefix, restarts = _rendezvous(store, rank, size)
            if size > 1:
                # all_gather is called with CPU tensors, all_reduce with gradients on their own device.
                backend = "cpu:gloo,cuda:nccl" if own_device.startswith("cuda") else "gloo"
                group_store = PrefixStore(prefix, store)
                distributed.init_process_group(backend, store=group_store, rank=rank, world_size=size, timeout=_TIMEOUT)
            peers = LocalPeers.exchange(PrefixStore(f"{prefix}/peers", store), rank, size)
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"the other processes of this run cannot be reached ({_extract_reason(error)}): check MASTER_ADDR and "
            "MASTER_PORT or torchrun's options, and, with several network interfaces, GLOO_SOCKET_IFNAME"
        ) from None
    try:
        run = store.get(_RUN).decode() if restarts else uuid.uuid4().hex
        yield Processes(rank, size, own_device if size > 1 else None, restarts, store, run, peers)
    finally:
        if size > 1:
            distributed.destroy_process_group()


def _rendezvous(store: Store, rank: int, size: int) -> tuple[str, int]:
    """Returns a new key prefix that all present processes have acknowledged, and the number of restarts.

    Raises ValueError if a process does not join in time.
    """
    # torchrun keeps one store for all restarts, with stale addresses of lost processes. So rank 0 makes a new prefix
    # and answers each request for it until all current processes have acknowledged it.
    own_id = uuid.uuid4().hex
    if rank:
        store.set(f"charloom/request/{rank}", own_id)
        prefix = store.get(f"charloom/prefix/{own_id}").decode()
        store.set(f"charloom/joined/{prefix}/{rank}", "")
    else:
        prefix = f"{own_id}/{store.add(_STARTED, 0)}"
        missing, deadline = set(range(1, size)), time.monotonic() + _TIMEOUT.total_seconds()
        while missing:
            if time.monotonic() > deadline:
                raise ValueError(f"{len(missing)} of {size} processes did not join")
            for other in missing:
                if store.check([f"charloom/request/{other}"]):
                    store.set(f"charloom/prefix/{store.get(f'charloom/request/{other}').decode()}", prefix)
            missing = {other for other in missing if not store.check([f"charloom/joined/{prefix}/{other}"])}
            time.sleep(_POLL_SECONDS)
    return prefix, int(prefix.partition("/")[2])


def _has_completed(work: Work) -> bool:
    """Waits for a collective for a limited time; returns whether it has completed. Raises its error if it failed."""
    try:
        return work.wait(_SIGNAL_INTERVAL)
    except RuntimeError:
        if not work.is_completed():  # the time is over
            return False
        return work.wait()


def _select_device(device: str) -> str:
    """Returns this process' GPU by its local rank, or the CPU."""
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if not on_gpu:
        return "cpu" if device == "auto" else device
    if device not in ("auto", "cuda"):
        raise SettingsError(
            "a single GPU cannot serve all processes; use cuda to give each its own", setting="device", value=device
        )
    index = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
    if index >= torch.cuda.device_count():
        raise SettingsError(
            f"there are more processes than GPUs ({torch.cuda.device_count()}) on this machine: ",
            *("start one process per GPU, or use ", Argument("device", "cpu")),
        )
    return f"cuda:{index}"


@contextmanager
def _default_signal_handlers() -> Iterator[None]:
    """Restores the default action of SIGINT and SIGTERM for the duration of the context."""
    # The rendezvous waits in native code, during which Python's signal handlers do not run.
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _extract_reason(error: Exception) -> str:
    """Returns the first sentence of an error's first line, without PyTorch's source location."""
    return re.sub(r"^\[\S+\]\s*", "", (str(error).strip().splitlines() or [""])[0]).partition(". ")[0]
