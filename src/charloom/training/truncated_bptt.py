"""Truncated backpropagation through time: minibatch, epoch, optimizer and learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from charloom.errors import InputError
from charloom.models.language_model import LanguageModel
from charloom.models.predictor import check_weights
from charloom.recurrence import kernel_calls
from charloom.recurrence.backend import backend, covers
from charloom.recurrence.kernel_arguments import KernelArgumentError
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.recurrence.torch_internals import has_step_hooks
from charloom.settings.training import TrainingSettings
from charloom.shapes import Ids, Scalar, State
from charloom.text.batching import (
    ALL_ROWS,
    count_batches,
    draw_offset,
    end_of_equal_parts,
    random_batches,
    sequential_batches,
)
from charloom.text.stored_ids import AnyIds, as_stored
from charloom.training.shared_gradients import SharedGradients

_COSINE_WARMUP_EPOCHS = 0.5
_COSINE_WARMUP_SHARE = 0.05
"""Share of a time limit. An epoch of a long text may take longer than the run."""
_INITIAL_FRACTION = 0.02
"""Fraction of the learning rate at the start of a warm-up: a first step with rate 0 would be wasted."""


def check_trainable(model: LanguageModel) -> None:
    """Raises InputError for a model that cannot be trained.

    A weight is not finite or was created in ``torch.inference_mode``, all weights are frozen, or a module computes
    sparse gradients.
    """
    check_weights(model)
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InputError(
            "weights created in torch.inference_mode cannot be trained: create the model outside of inference mode"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("no weight requires a gradient: call model.requires_grad_()")
    for name, part in model.named_modules():
        if getattr(part, "sparse", False):
            raise InputError(
                f"{name} computes sparse gradients, which cannot be clipped: set its attribute sparse to False"
            )


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    """Returns SGD or AdamW, with PyTorch's weight decay if none is set.

    On the CPU the optimizer is fused if all parameters are contiguous.
    """
    # A fused update makes one pass and is faster on one thread than the loop over operations on two. It goes through
    # memory in storage order, which is only right for contiguous parameters (and gradients, see ``train_step``).
    parameters = list(parameters)
    kind, default_decay = (torch.optim.SGD, 0.0) if settings.optimizer == "sgd" else (torch.optim.AdamW, 0.01)
    decay = default_decay if settings.weight_decay is None else settings.weight_decay
    fused = all(p.is_cpu and p.is_contiguous() for p in parameters) or None  # None leaves the choice to PyTorch
    return kind(parameters, lr=settings.learning_rate, fused=fused, weight_decay=decay)


def set_learning_rate(
    optimizer: Optimizer, settings: TrainingSettings, position_in_epochs: float, time_share: float = 0.0
) -> None:
    """Sets the learning rate of the schedule in all parameter groups.

    A constant schedule without warm-up leaves the optimizer's learning rate unchanged.

    Args:
        optimizer: The optimizer.
        settings: Settings with the schedule.
        position_in_epochs: Number of epochs trained so far, which may be fractional.
        time_share: Share of the time limit that is used up, from 0 to 1; 0 if there is none.
    """
    warmup, warmed_up = settings.warmup_epochs, 0.0
    if warmup is None and settings.schedule == "cosine":
        # An epoch may be longer than the run, so the warm-up must not depend on epochs alone.
        warmup, warmed_up = _COSINE_WARMUP_EPOCHS, time_share / _COSINE_WARMUP_SHARE
    if settings.schedule == "constant" and not warmup:
        return  # a caller may set the learning rate of its optimizer otherwise
    rate = settings.learning_rate
    if warmup:
        rate *= min(1.0, _INITIAL_FRACTION + max(warmed_up, position_in_epochs / warmup))
    if settings.schedule == "cosine":
        rate *= 0.5 + 0.5 * math.cos(math.pi * max(time_share, position_in_epochs / settings.epochs))
    elif settings.schedule == "step":
        rate *= settings.decay_factor ** (int(position_in_epochs) // settings.decay_every)
    for group in optimizer.param_groups:
        group["lr"] = rate


def train_step(
    model: LanguageModel,
    optimizer: Optimizer,
    inputs: Ids,
    targets: Ids,
    state: State,
    clip_norm: float,
    gradient_accumulation_steps: int = 1,
    shared: SharedGradients | None = None,
) -> tuple[Scalar, State]:
    """Makes one optimizer step on a minibatch: loss, gradients, clipping to a global norm, update.

    Args:
        model: The model.
        optimizer: Its optimizer, from ``make_optimizer``.
        inputs: Token ids, (batch_size * gradient_accumulation_steps, steps).
        targets: Token ids one position later, of the same shape.
        state: Recurrent state before the first time step.
        clip_norm: Maximum global norm of the gradients; 0 disables clipping.
        gradient_accumulation_steps: Equal parts of the batch whose gradients are accumulated one after the other.
        shared: Averages gradients and loss over processes; None for one process.

    Returns:
        The mean loss in nats, over all processes, and the detached state after the last time step.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = None  # zero_grad without its bookkeeping, a measurable part of a small step
    if gradient_accumulation_steps == 1:
        loss, state = model.backpropagate(inputs, targets, state)
    else:
        loss, state = _backpropagate_in_parts(model, parameters, inputs, targets, state, gradient_accumulation_steps)
    if shared is not None:
        loss = shared.average(parameters, loss)
    rate = _plain_sgd_rate(optimizer)
    if rate is None or not clip_and_step_sgd(parameters, clip_norm or math.inf, rate):
        if clip_norm:
            clip_gradients(parameters, clip_norm)
        for parameter in parameters:
            if parameter.grad is not None and not parameter.grad.is_contiguous():
                parameter.grad = parameter.grad.contiguous()  # a fused step would mix up its elements
        optimizer.step()
    return loss, state


def _backpropagate_in_parts(
    model: LanguageModel, parameters: list[Tensor], inputs: Ids, targets: Ids, state: State, number: int
) -> tuple[Scalar, State]:
    """Computes ``model.backpropagate`` of the whole batch in equal parts; the result differs by rounding only."""
    losses: list[Tensor] = []
    states: list[tuple[Tensor, ...]] = []
    first_states = zip(*(part.chunk(number, dim=1) for part in state_to_tuple(state)), strict=True)
    for ids, following, first in zip(inputs.chunk(number), targets.chunk(number), first_states, strict=True):
        loss, last = model.backpropagate(ids, following, tuple_to_state(first))
        losses.append(loss)
        states.append(state_to_tuple(last))
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad /= number  # each is the gradient of a mean over its own part
    # The parts are of equal size, so the mean of their means is that of the batch.
    return torch.stack(losses).mean(), tuple_to_state(torch.cat(each, dim=1) for each in zip(*states, strict=True))


def clip_gradients(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scales the gradients of all parameters down together if their global norm is above ``max_norm``.

    Like ``torch.nn.utils.clip_grad_norm_``, but returns nothing; a ``max_norm`` of infinity disables clipping. Takes a
    tenth of that function's time for small models. Source: Pascanu et al., On the
    difficulty of training recurrent neural networks, 2013.
    """
    if not clip_and_step_sgd(parameters, max_norm, None):
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def clip_and_step_sgd(parameters: Sequence[Tensor], max_norm: float, learning_rate: float | None) -> bool:
    """Clips gradients and, unless ``learning_rate`` is None, makes a step of plain SGD, in one native call.

    Args:
        parameters: Parameters; those without a gradient are skipped.
        max_norm: Maximum global norm of the gradients; infinity (not 0) disables clipping.
        learning_rate: Learning rate of the step; None to clip only.

    Returns:
        False, with nothing done, if the kernels do not support the tensors or no parameter has a gradient.
    """
    kernels = backend().kernels
    with_gradient = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in with_gradient if p.grad is not None]
    values = with_gradient if learning_rate is not None else []
    if kernels is None or not covers() or not gradients:
        return False
    try:
        kernel_calls.descend(kernels, gradients, values, max_norm, learning_rate or 0.0)
    except KernelArgumentError:
        return False
    if values:
        torch.autograd.graph.increment_version(values)  # as PyTorch's operators do: earlier graphs are stale
    return True


def _plain_sgd_rate(optimizer: Optimizer) -> float | None:
    """Returns the learning rate of an optimizer that is plain gradient descent; None for any other.

    None also for several parameter groups, step hooks, a wrapped ``step`` and a learning rate that is not a float.
    """
    # Hooks and wrappers, such as a scheduler's around ``step``, must run: the optimizer is then not plain.
    if type(optimizer) is not torch.optim.SGD or len(optimizer.param_groups) != 1 or "step" in vars(optimizer):
        return None
    group = optimizer.param_groups[0]
    rate = group["lr"]
    plain = not (group["momentum"] or group["weight_decay"] or group["maximize"] or group["differentiable"])
    return rate if plain and type(rate) is float and not has_step_hooks(optimizer) else None


class EpochProgress(NamedTuple):
    """The position in an epoch between two minibatches.

    With the weights, the optimizer's state and the random states, it determines the rest of the epoch.

    Attributes:
        done: Minibatches trained on.
        num_batches: Minibatches of the epoch.
        total_loss: Sum of their mean losses (nats), left on the device. All yielded positions have the same tensor,
            which is updated in place: read ``mean_loss`` before the next one.
        state: Recurrent state before the next minibatch; the zero state with random sequences.
    """

    done: int
    num_batches: int
    total_loss: Tensor
    state: State

    @property
    def mean_loss(self) -> Tensor:
        """Mean loss (nats) of the minibatches so far."""
        return self.total_loss / self.done


def train_epoch(
    model: LanguageModel,
    optimizer: Optimizer,
    ids: AnyIds,
    settings: TrainingSettings,
    generator: torch.Generator,
    epoch: int = 1,
    shared: SharedGradients | None = None,
    progress: EpochProgress | None = None,
    time_share: Callable[[], float] | None = None,
) -> Iterator[EpochProgress]:
    """Trains one pass over a text, from a random offset; yields after each minibatch.

    epoch: Number of the epoch, from 1, for the schedule. shared: As in ``train_step``; each rank reads its rows of
    every minibatch. progress: Position to resume; ``generator`` must have its state of the epoch's start. time_share:
    Returns the share of the time limit that is used up, for the schedule, equal on all ranks; None without a limit.
    """
    batch_size, num_steps = settings.rows, settings.num_steps
    rows = shared.processes.get_rows_of_rank(batch_size) if shared is not None else ALL_ROWS
    # The first draw of an epoch, so that a resumed run repeats it.
    offset = draw_offset(len(ids), batch_size, num_steps, generator)
    device = optimizer.param_groups[0]["params"][0].device
    zero_state = model.begin_state(len(range(batch_size)[rows]))
    done, _, total, state = progress or (0, 0, torch.zeros((), dtype=torch.float32, device=device), zero_state)
    if settings.partitioning == "sequential":
        ids = as_stored(ids).part(0, end_of_equal_parts(len(ids), batch_size, num_steps, offset))
        batches = sequential_batches(ids, batch_size, num_steps, offset, rows, done)
    else:
        batches = random_batches(ids, batch_size, num_steps, offset, generator, rows, done)
    # Counted after the cut above, which shortens the text.
    num_batches = count_batches(len(ids), batch_size, num_steps, offset)
    for inputs, targets in batches:
        set_learning_rate(optimizer, settings, epoch - 1 + done / num_batches, time_share() if time_share else 0.0)
        minibatch = inputs.to(device), targets.to(device)
        clip_norm = float(settings.clip_norm)
        loss, last = train_step(
            model, optimizer, *minibatch, state, clip_norm, settings.gradient_accumulation_steps, shared
        )
        # On the device: a conversion to float would wait for the device in every step.
        total += loss
        done += 1
        state = last if settings.partitioning == "sequential" else zero_state
        yield EpochProgress(done, num_batches, total, state)
