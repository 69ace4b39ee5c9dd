"""All-reduce of gradients in distributed data-parallel training.

The process group and its other collectives are in ``processes``.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn

from charloom.shapes import Scalar
from charloom.training.processes import Processes


class Requests(NamedTuple):
    """Requests of one rank, or the union of all ranks' requests.

    Attributes:
        stop: True to end training.
        checkpoint: True to write a checkpoint.
    """

    stop: bool = False
    checkpoint: bool = False


class SharedGradients:
    """Averages gradients, so that all processes take the same step.

    Each step needs a single all-reduce, of the gradients, the loss, the requests and the share of the time limit.

    Attributes:
        processes: Process group of more than one process.
    """

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        """Broadcasts the weights of rank 0, which replace those of the model on the other ranks."""
        self.processes = processes
        self._pending = self._agreed = Requests()
        self._time_share = 0.0
        parameters = [parameter.detach() for parameter in model.parameters()]
        # The initial weights of the ranks differ if a user built the models with different seeds.
        weights = torch.cat([parameter.flatten() for parameter in parameters])
        processes.call_collective(lambda: distributed.broadcast(weights, 0, async_op=not weights.is_cuda))
        _copy_into(weights, parameters)

    def average(self, parameters: Iterable[Tensor], loss: Scalar) -> Scalar:
        """Replaces the gradients by their mean over all processes, and returns the mean loss.

        A gradient that some processes lack is zero there; one that all lack stays None. The same all-reduce forms the
        union of the requests that ``exchange_requests`` stored, and the mean of what ``exchange_time_share`` stored.
        """
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        flags = loss.new_tensor([*self._pending, *(parameter.grad is not None for parameter in trained)])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        # One message: latency, not bandwidth, dominates the exchange of small gradients.
        loss_and_time = torch.stack([loss, loss.new_tensor(self._time_share)])
        message = torch.cat([loss_and_time, flags, *(gradient.flatten() for gradient in gradients)])
        self.processes.call_collective(lambda: distributed.all_reduce(message, async_op=not message.is_cuda))
        message /= self.processes.size
        start = 2 + len(flags)
        # The mean of a flag is above 0 if any process has set it.
        reduced = message[2:start].bool().tolist()
        self._agreed = Requests(*reduced[: len(self._pending)])
        # Equal on all ranks, because each receives the same sum.
        self._time_share = float(message[1])
        _copy_into(message[start:], gradients)
        for parameter, gradient, is_used in zip(trained, gradients, reduced[len(self._pending) :], strict=True):
            parameter.grad = gradient if is_used else None
        return message[0].clone()

    def exchange_requests(self, requests: Requests) -> Requests:
        """Stores this rank's requests, which the next ``average`` reduces; returns those that the last one reduced.

        The returned requests are equal on all ranks, which carry them out now. A request to write a checkpoint is not
        stored if a checkpoint is written now. This runs no collective.
        """
        # A checkpoint that is written now is no longer due.
        self._pending = requests._replace(checkpoint=requests.checkpoint and not self._agreed.checkpoint)
        return self._agreed

    def exchange_time_share(self, share: float) -> float:
        """Stores this rank's value, which the next ``average`` reduces; returns the mean that the last one computed.

        The mean is equal on all ranks, which must use the same learning rate. This runs no collective.
        """
        # What is stored now takes effect one step later, on all ranks at once.
        mean, self._time_share = self._time_share, share
        return mean


def _copy_into(values: Tensor, tensors: list[Tensor]) -> None:
    """Copies the elements of a vector into tensors, in order."""
    for tensor, part in zip(tensors, torch.split(values, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
