"""One step of training by one process, or by several that average their gradients.

Gradients are averaged by ``DistributedDataParallel``, so that all processes take the same step, that of one process on
the whole minibatch. One message a step goes round, however long the text: the gradients and, with them, the loss and
what the processes ask of each other.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from charloom.models.language_model import LanguageModel
from charloom.shapes import Ids, Scalar, State
from charloom.training.processes import Processes, talk

_LARGE_BUCKET = 1024
"""MiB."""


class Wishes(NamedTuple):
    """What one process asks of all, or all are to do now."""

    stop: bool = False
    checkpoint: bool = False


class Learner(Protocol):
    """A language model in training."""

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Adds gradients to the parameters; returns the mean loss of all processes and the state, both detached."""


class AgreeingLearner(Learner, Protocol):
    """One that may be one of several."""

    def agree(self, wishes: Wishes) -> Wishes:
        """Between two steps: what all do here. What one wishes all do after the next step; one that is alone, now."""


def make_learner(model: LanguageModel, processes: Processes) -> AgreeingLearner:
    """What gives a minibatch's gradients: the model itself, or one that shares them."""
    return _Alone(model) if processes.size == 1 else _Sharing(model)


class _Alone:
    def __init__(self, model: LanguageModel) -> None:
        self.backpropagate = model.backpropagate

    def agree(self, wishes: Wishes) -> Wishes:
        return wishes


class _Sharing:
    def __init__(self, model: LanguageModel) -> None:
        """Takes the first process' weights for all."""
        self._heard = Wishes()
        self._loss = _Loss(model)
        # Buckets are sent while others are computed; here one call computes all, so that one bucket is best.
        self._module: nn.Module = talk(
            lambda: DistributedDataParallel(self._loss, bucket_cap_mb=_LARGE_BUCKET, gradient_as_bucket_view=True)
        )

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        self._loss.carrier.grad = None
        loss, last = self._module(ids, targets, state)
        talk(loss.backward)
        assert self._loss.carrier.grad is not None
        mean_loss, *heard = self._loss.carrier.grad.clone().unbind()
        self._heard = Wishes(*(bool(number) for number in heard))
        return mean_loss, last

    def agree(self, wishes: Wishes) -> Wishes:
        # A checkpoint that is written now is no longer due.
        self._loss.wishes = wishes._replace(checkpoint=wishes.checkpoint and not self._heard.checkpoint)
        return self._heard


class _Loss(nn.Module):
    """What DistributedDataParallel wraps: its forward must be what gives the loss.

    Attributes:
        carrier: A parameter, always zero, whose gradient is what the processes tell each other: averaged with the
            gradients of the others, in the same message.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model
        self.wishes = Wishes()
        self.carrier = nn.Parameter(torch.zeros(1 + len(self.wishes), dtype=torch.float32, device=model.device))

    def forward(self, ids: Ids, targets: Ids, state: State | None) -> tuple[Scalar, State]:
        loss, last = self.model.loss(ids, targets, state)
        told: Tensor = torch.stack([loss.detach(), *loss.new_tensor([float(wish) for wish in self.wishes])])
        return loss + self.carrier @ told, last
