"""Truncated back-propagation through time: one minibatch, and one epoch of them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from charloom.models.language_model import LanguageModel
from charloom.recurrence.descent import clip_and_descend, clip_gradients
from charloom.recurrence.state import parts_of, state_of
from charloom.recurrence.torch_internals import has_step_hooks
from charloom.settings.training import TrainingSettings
from charloom.shapes import Ids, Scalar, State
from charloom.text.batching import (
    ALL_ROWS,
    draw_offset,
    end_of_equal_lanes,
    num_random,
    num_sequential,
    random_batches,
    sequential_batches,
)
from charloom.text.stored_ids import AnyIds, as_stored
from charloom.training.optimization import set_learning_rate
from charloom.training.shared_gradients import Learner


def train_step(
    model: Learner,
    optimizer: Optimizer,
    inputs: Ids,
    targets: Ids,
    state: State,
    clip_norm: float,
    accumulate: int = 1,
) -> tuple[Scalar, State]:
    """Loss, gradients, clipping to a global norm, one step. Returns the mean loss in nats and the detached state.

    accumulate: Compute the gradients in so many equal parts of the batch, one after the other.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = None  # as zero_grad, without its bookkeeping, which a small step would feel
    if accumulate == 1:
        loss, state = model.backpropagate(inputs, targets, state)
    else:
        loss, state = _backpropagate_in_parts(model, parameters, inputs, targets, state, accumulate)
    rate = _rate_of_plain_descent(optimizer)
    if rate is None or not clip_and_descend(parameters, clip_norm, rate):
        if clip_norm:
            clip_gradients(parameters, clip_norm)
        for parameter in parameters:
            if parameter.grad is not None and not parameter.grad.is_contiguous():
                parameter.grad = parameter.grad.contiguous()  # a fused step would mix up its elements
        optimizer.step()
    return loss, state


def _backpropagate_in_parts(
    model: Learner, parameters: list[Tensor], inputs: Ids, targets: Ids, state: State, number: int
) -> tuple[Scalar, State]:
    """As ``model.backpropagate`` of the whole batch, within rounding."""
    losses: list[Tensor] = []
    states: list[tuple[Tensor, ...]] = []
    for rows in torch.arange(len(inputs)).chunk(number):
        here = slice(int(rows[0]), int(rows[-1]) + 1)
        first = state_of(part[:, here] for part in parts_of(state))
        loss, last = model.backpropagate(inputs[here], targets[here], first)
        losses.append(loss)
        states.append(parts_of(last))
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad /= number  # each is the gradient of a mean over its own part
    return torch.stack(losses).mean(), state_of(torch.cat(each, dim=1) for each in zip(*states, strict=True))


def _rate_of_plain_descent(optimizer: Optimizer) -> float | None:
    """The learning rate of an optimizer that does nothing but subtract it times the gradient; None for any other.

    Anything that someone has hung on the optimizer, such as a scheduler's wrapper around ``step``, makes it another.
    """
    if type(optimizer) is not torch.optim.SGD or len(optimizer.param_groups) != 1 or "step" in vars(optimizer):
        return None
    group = optimizer.param_groups[0]
    rate = group["lr"]
    plain = not (group["momentum"] or group["weight_decay"] or group["maximize"] or group["differentiable"])
    return rate if plain and type(rate) is float and not has_step_hooks(optimizer) else None


class EpochProgress(NamedTuple):
    """Where an epoch stands between two minibatches: with the weights, all that its rest depends on.

    Attributes:
        done: Minibatches trained on.
        num_batches: Minibatches of the epoch.
        total_loss: Sum of their mean losses (nats), left on the device. It grows in place.
        state: What the next minibatch reads on from; None for the zero state.
    """

    done: int
    num_batches: int
    total_loss: Tensor
    state: State | None

    @property
    def mean_loss(self) -> Tensor:
        """Of the minibatches so far."""
        return self.total_loss / self.done


def train_epoch(
    model: LanguageModel,
    optimizer: Optimizer,
    ids: AnyIds,
    settings: TrainingSettings,
    generator: torch.Generator,
    epoch: int = 1,
    learner: Learner | None = None,
    rows: slice = ALL_ROWS,
    begun: EpochProgress | None = None,
) -> Iterator[EpochProgress]:
    """Trains one pass over a text, from a random offset; yields after each minibatch.

    epoch: From 1, for the schedule. learner: What gives the gradients; the model where None. rows: The part of each
    minibatch that is read, where other processes read the others. begun: Where to go on; ``generator`` must be as it
    was when the epoch began.
    """
    batch_size, num_steps = settings.rows, settings.num_steps
    first = begun.done if begun else 0
    offset = draw_offset(len(ids), batch_size, num_steps, generator)
    carried = settings.partitioning == "sequential"
    if carried:
        ids = as_stored(ids).part(0, end_of_equal_lanes(len(ids), batch_size, num_steps, offset))
        batches = sequential_batches(ids, batch_size, num_steps, offset, rows, first)
        num_batches = num_sequential(len(ids), batch_size, num_steps, offset)
    else:
        batches = random_batches(ids, batch_size, num_steps, offset, generator, rows, first)
        num_batches = num_random(len(ids), batch_size, num_steps, offset)
    zero_state = state = model.begin_state(len(range(batch_size)[rows]))
    device = optimizer.param_groups[0]["params"][0].device
    total = torch.zeros((), dtype=torch.float32, device=device)
    if begun:
        state = zero_state if begun.state is None else begun.state
        total = begun.total_loss
    for done, (inputs, targets) in enumerate(((i.to(device), t.to(device)) for i, t in batches), first + 1):
        set_learning_rate(optimizer, settings, epoch - 1 + (done - 1) / num_batches)
        before = state if carried else zero_state
        clip_norm = float(settings.clip_norm)
        loss, state = train_step(learner or model, optimizer, inputs, targets, before, clip_norm, settings.accumulate)
        total += loss
        yield EpochProgress(done, num_batches, total, state if carried else None)
