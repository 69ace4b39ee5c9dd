"""The gradients of several processes as those of one on the whole minibatch.

One message a step goes round, however long the text: the gradients and, with them, the loss and what the processes ask
of each other.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn

from charloom.models.language_model import LanguageModel
from charloom.shapes import Scalar
from charloom.training.processes import Processes, talk


class Wishes(NamedTuple):
    """Requests of one process to all; or what all do now."""

    stop: bool = False
    checkpoint: bool = False


class SharedGradients:
    """Averages gradients, so that all processes take the same step."""

    def __init__(self, model: LanguageModel, processes: Processes) -> None:
        """Gives all processes the first one's weights."""
        self.processes = processes
        self._wishes = self._heard = Wishes()
        parameters = [parameter.detach() for parameter in model.parameters()]
        weights = nn.utils.parameters_to_vector(parameters)
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
        self._heard = Wishes(*(bool(number) for number in message[1:begin]))
        _spread(message[begin:], gradients)
        return message[0].clone()

    def agree(self, wishes: Wishes) -> Wishes:
        """Between two steps: returns what all do here. What one wishes, all do after the next step."""
        # A checkpoint that is written now is no longer due.
        self._wishes = wishes._replace(checkpoint=wishes.checkpoint and not self._heard.checkpoint)
        return self._heard


def _spread(values: Tensor, tensors: list[Tensor]) -> None:
    """Copies the elements of a vector into tensors, in order."""
    for tensor, part in zip(tensors, torch.split(values, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
