"""Training in several processes, on one machine or more, which torchrun starts.

Each process has the whole model and a share of the lanes: of a minibatch of B sequences among W processes, process r
reads rows r B/W to (r + 1) B/W. Gradients are averaged over the processes (``DistributedDataParallel``), so that all
take the same step, that of one process on the whole minibatch. What is sent is the gradient, once a step, however long
the text.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from charloom.errors import ProcessLostError, SettingsError
from charloom.language_model import LanguageModel
from charloom.shapes import Ids, Scalar, State

_TIMEOUT = timedelta(minutes=10)
"""How long a process waits for another before it gives up: longer than the slowest of them validates or saves."""
_LARGE_BUCKET = 1024
"""MiB."""


@dataclass(frozen=True)
class Processes:
    """Who trains: one process, or one of several.

    Attributes:
        rank: Which one this is, from 0. The first one writes and shows.
        size: How many there are.
        device: Where this one computes, if it is not the settings' to say.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and shows."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Raises SettingsError where the lanes cannot be shared out evenly."""
        if batch_size % self.size:
            raise SettingsError(
                f"batch_size {batch_size} cannot be shared out among {self.size} processes: make it a multiple of "
                f"{self.size}, as {batch_size // self.size * self.size or self.size}"
            )

    def share(self, rows: int) -> slice:
        """This process' part of so many lanes, as even as it can be; all of them for a single process."""
        return slice(self.rank * rows // self.size, (self.rank + 1) * rows // self.size)

    def sum(self, values: Tensor) -> Tensor:
        """Their sum over the processes, for each to have."""
        if self.size > 1:
            values = values.clone()
            _talk(lambda: distributed.all_reduce(values))
        return values

    def agree(self, loss: Scalar, stop: bool) -> tuple[Scalar, bool]:
        """The mean of all losses, and whether anyone is to stop: then all do, after the same step."""
        if self.size == 1:
            return loss, stop
        loss_sum, num_stop = self.sum(torch.stack([loss, torch.full_like(loss, stop)]))
        return loss_sum / self.size, bool(num_stop)

    def learner(self, model: LanguageModel) -> "Learner":
        """What gives a minibatch's gradients: the model itself, or one that shares them."""
        return model if self.size == 1 else SharingModel(model)


class Learner(Protocol):
    """A language model in training."""

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Adds gradients to the parameters; returns the loss and the state, both detached."""


class SharingModel:
    """A model whose gradients are the mean over all processes. The loss is that of this process' lanes."""

    def __init__(self, model: LanguageModel) -> None:
        """Takes the first process' weights for all."""
        # Buckets are sent while others are computed; here one call computes all, so that one bucket is best.
        self._module: nn.Module = _talk(
            lambda: DistributedDataParallel(_Loss(model), broadcast_buffers=False, bucket_cap_mb=_LARGE_BUCKET)
        )

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """See ``Learner``."""
        loss, last = self._module(ids, targets, state)
        _talk(loss.backward)
        return loss.detach(), last


class _Loss(nn.Module):
    """What DistributedDataParallel wraps: its forward must be what gives the loss."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Ids, targets: Ids, state: State | None) -> tuple[Scalar, State]:
        return self.model.loss(ids, targets, state)


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes that torchrun started, connected for as long as the context lasts; without it, this one alone.

    gloo on CPUs, NCCL on GPUs, one GPU to a process. Raises SettingsError where the others cannot be reached.
    """
    if not distributed.is_torchelastic_launched():
        yield Processes()
        return
    on_gpu = torch.cuda.is_available()
    device = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else None
    try:
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"the other processes cannot be reached ({_first_line(error)}): check torchrun's addresses and, with "
            "several network interfaces, GLOO_SOCKET_IFNAME"
        ) from None
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()


def _talk(call: Any) -> Any:
    """What a call that needs the other processes returns. Raises ProcessLostError where one of them is gone."""
    try:
        return call()
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error) or "Connection" in str(error):
            reason = _first_line(error)
            raise ProcessLostError(f"another process of this run ended or cannot be reached ({reason})") from error
        raise


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
