"""Training in several processes, on one machine or more: who takes part, and what they tell each other.

torchrun starts them, or anything else that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as Slurm scripts and
Kubeflow do. Each has the whole model and a share of the lanes: of a minibatch of B sequences among W processes, process
r reads rows r B/W to (r + 1) B/W. ``SharedGradients`` makes one step of theirs.
"""

import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from charloom.errors import Argument, OtherProcessFailedError, ProcessLostError, SettingsError
from charloom.settings.training import TrainingSettings
from charloom.shapes import Scalar

_TIMEOUT = timedelta(minutes=30)
"""A process waits so long for another: longer than one encodes a long text that another has kept. One that ends is
noticed at once, as its connections close."""
_LOOKS_EVERY = 0.02
"""Seconds."""
_BEGUN, _RUN = "charloom/begun", "charloom/run"
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """Who trains: one process, or one of several.

    Attributes:
        rank: Which one this is, from 0. The first one writes and shows.
        device: Where this one computes, if it is not the settings' to say.
        restarts: How often torchrun has started them anew since training began, as one was lost.
        store: What torchrun keeps for all restarts; None without it.
        run: A name for what torchrun was started for, through all restarts; of the first process.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None
    restarts: int = 0
    store: Store | None = field(default=None, repr=False, compare=False)
    run: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)

    @property
    def first(self) -> bool:
        """True if this is the one that writes and shows."""
        return self.rank == 0

    def start_training(self) -> None:
        """From here on a restart goes on with this run. Before, it is tried anew, and refused again if it was."""
        if self.store is not None and self.first:
            self.store.set(_RUN, self.run)
            self.store.add(_BEGUN, 1)

    def check(self, settings: TrainingSettings) -> None:
        """Raises SettingsError if the lanes cannot be shared out evenly, or are to be gone through in turn."""
        batch_size = settings.batch_size
        if self.size > 1 and settings.gradient_accumulation_steps > 1:
            raise SettingsError(
                f"it is for one process, and {self.size} share the batch; leave it out, and give the ",
                *(Argument("batch_size"), " of them all"),
                setting="gradient_accumulation_steps",
                value=settings.gradient_accumulation_steps,
            )
        if batch_size % self.size:
            raise SettingsError(
                f"it cannot be shared out among {self.size} processes; make it a multiple of {self.size}, as "
                f"{batch_size // self.size * self.size or self.size}",
                setting="batch_size",
                value=batch_size,
            )

    def share(self, rows: int) -> slice:
        """This process' part of so many lanes, as even as it can be; all of them for a single process."""
        return slice(self.rank * rows // self.size, (self.rank + 1) * rows // self.size)

    def gather(self, part: Tensor) -> list[Tensor]:
        """The parts of all processes, by rank, for each to have; on the CPU. They must be of one shape and kind."""
        if self.size == 1:
            return [part]
        part = part.detach().cpu().contiguous()
        parts = [torch.empty_like(part) for _ in range(self.size)]
        talk(lambda: distributed.all_gather(parts, part))
        return parts

    @contextmanager
    def together(self) -> Iterator[None]:
        """For what each does by itself before they work together: where one fails, all end.

        The first that fails raises its error; in all others it is an OtherProcessFailedError.
        """
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.size == 1:
                raise
            failure = error
        failed = [bool(flag) for flag in self.gather(torch.tensor(failure is not None))]
        if failure is not None and not any(failed[: self.rank]):
            raise failure
        if any(failed) and self.size > 1:
            raise OtherProcessFailedError(f"process {failed.index(True)} of this run failed; it says why") from failure

    def broadcast(self, content: bytes, source: int) -> bytes:
        """The content that the process ``source`` has, for each to have."""
        held = [content]
        talk(lambda: distributed.broadcast_object_list(held, source))
        return held[0]


@contextmanager
def init_processes(device: str = "auto") -> Iterator[Processes]:
    """The processes of this run, connected for as long as the context lasts; where there is no other, this one alone.

    device: As in the settings. gloo on CPUs, NCCL on GPUs, one GPU to a process. Raises SettingsError where the others
    cannot be reached, or there is no GPU left for this one.
    """
    alone = os.environ.get("WORLD_SIZE", "1") == "1" and not distributed.is_torchelastic_launched()
    if alone or not all(os.environ.get(name) for name in _NEEDED):
        yield Processes()
        return
    own_device = _own_device(device)
    try:
        with _killed_by_signals():
            store, rank, size = next(rendezvous("env://", timeout=_TIMEOUT))
            store.set_timeout(_TIMEOUT)
            room, restarts = _meet(store, rank, size)
            if size > 1:
                # Words between processes are on the CPU, gradients where they are computed.
                backend = "cpu:gloo,cuda:nccl" if own_device.startswith("cuda") else "gloo"
                room_store = PrefixStore(room, store)
                distributed.init_process_group(backend, store=room_store, rank=rank, world_size=size, timeout=_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"the other processes of this run cannot be reached ({_reason(error)}): check MASTER_ADDR and MASTER_PORT "
            "or torchrun's options, and, with several network interfaces, GLOO_SOCKET_IFNAME"
        ) from None
    try:
        run = store.get(_RUN).decode() if restarts else uuid.uuid4().hex
        yield Processes(rank, size, own_device if size > 1 else None, restarts, store, run)
    finally:
        if size > 1:
            distributed.destroy_process_group()


def _meet(store: Store, rank: int, size: int) -> tuple[str, int]:
    """A name for this meeting that all have, and no earlier one had; and how often training has begun before.

    torchrun keeps one store for all restarts, where stale addresses of processes that are gone would be found. So the
    first process names the meeting anew, and tells it to whoever knocks, until all that are here now have heard it.
    """
    own_name = uuid.uuid4().hex
    if rank:
        store.set(f"charloom/knock/{rank}", own_name)
        meeting = store.get(f"charloom/answer/{own_name}").decode()
        store.set(f"charloom/here/{meeting}/{rank}", "")
    else:
        meeting = f"{own_name}/{store.add(_BEGUN, 0)}"
        absent, ends_at = set(range(1, size)), time.monotonic() + _TIMEOUT.total_seconds()
        while absent:
            if time.monotonic() > ends_at:
                raise ValueError(f"{len(absent)} of {size} did not come")
            for other in absent:
                if store.check([f"charloom/knock/{other}"]):
                    store.set(f"charloom/answer/{store.get(f'charloom/knock/{other}').decode()}", meeting)
            absent = {other for other in absent if not store.check([f"charloom/here/{meeting}/{other}"])}
            time.sleep(_LOOKS_EVERY)
    return meeting, int(meeting.partition("/")[2])


def talk(call: Callable[[], object]) -> None:
    """Makes a call that needs the other processes. Raises ProcessLostError if one of them is gone."""
    try:
        call()
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or re.search("gloo|Connection", str(error)):
            raise ProcessLostError(
                f"another process of this run ended, or cannot be reached any more ({_reason(error)})"
            ) from error
        raise


class Requests(NamedTuple):
    """Requests of one process to all; or what all do now."""

    stop: bool = False
    checkpoint: bool = False


class SharedGradients:
    """Averages gradients, so that all processes take the same step.

    One message a step goes round, however long the text: the gradients and, with them, the loss and the wishes.
    """

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        """Gives all processes the first one's weights."""
        self.processes = processes
        self._wishes = self._heard = Requests()
        parameters = [parameter.detach() for parameter in model.parameters()]
        weights = torch.cat([parameter.flatten() for parameter in parameters])
        talk(lambda: distributed.broadcast(weights, 0))
        _spread(weights, parameters)

    def average(self, parameters: Iterable[Tensor], loss: Scalar) -> Scalar:
        """Puts the mean of all processes' gradients in place of this one's; returns the mean loss."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        wishes = loss.new_tensor([float(wish) for wish in self._wishes])
        message = torch.cat([loss.view(1), wishes, *(gradient.flatten() for gradient in gradients)])
        talk(lambda: distributed.all_reduce(message))
        message /= self.processes.size
        begin = 1 + len(wishes)
        self._heard = Requests(*(bool(number) for number in message[1:begin]))
        _spread(message[begin:], gradients)
        return message[0].clone()

    def all_reduce_requests(self, wishes: Requests) -> Requests:
        """Between two steps: returns what all do here. What one wishes, all do after the next step."""
        # A checkpoint that is written now is no longer due.
        self._wishes = wishes._replace(checkpoint=wishes.checkpoint and not self._heard.checkpoint)
        return self._heard


def _spread(values: Tensor, tensors: list[Tensor]) -> None:
    """Copies the elements of a vector into tensors, in order."""
    for tensor, part in zip(tensors, torch.split(values, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def _own_device(device: str) -> str:
    """Of the machine's GPUs this process' own, where they are to be used."""
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if not on_gpu:
        return "cpu" if device == "auto" else device
    if device not in ("auto", "cuda"):
        raise SettingsError(
            "it is one for all processes; with cuda each takes a GPU of its own", setting="device", value=device
        )
    index = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
    if index >= torch.cuda.device_count():
        raise SettingsError(
            f"this machine has {torch.cuda.device_count()} GPUs, and more processes: start one for each GPU, or give ",
            Argument("device", "cpu"),
        )
    return f"cuda:{index}"


@contextmanager
def _killed_by_signals() -> Iterator[None]:
    """PyTorch waits for processes that do not come outside of Python, whose handlers do not run meanwhile."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(error: Exception) -> str:
    """The first sentence, without where in PyTorch it came from."""
    return re.sub(r"^\[\S+\]\s*", "", (str(error).strip().splitlines() or [""])[0]).partition(". ")[0]
