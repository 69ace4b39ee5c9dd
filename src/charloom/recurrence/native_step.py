"""Loss and all gradients of a language model in one native call.

Tokens -> recurrent layers -> logits -> mean cross-entropy, and back, as one autograd function whose forward computes
the gradients too: it composes with any optimizer and with distributed training. Tokens are gathered, never one-hot.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.recurrence.equations import CellState
from charloom.recurrence.native import CELLS, PRECISIONS
from charloom.recurrence.threads import thread_limit
from charloom.settings.model import Precision


class StepParameters(NamedTuple):
    """The parameters of a language model.

    embedding: (vocabulary, embedding), or None for one-hot input. layers: for each layer its input weights, hidden
    weights and the two biases (None without). output: (vocabulary, hidden). output_bias: (vocabulary,).
    """

    embedding: Tensor | None
    layers: Sequence[Tensor | None]
    output: Tensor
    output_bias: Tensor

    def in_order(self) -> list[Tensor | None]:
        """All, in the order in which the kernels take them."""
        return [self.embedding, *self.layers, self.output, self.output_bias]

    def tensors(self) -> list[Tensor]:
        """Those there are."""
        return [p for p in self.in_order() if p is not None]


class StepOptions(NamedTuple):
    """How a step is computed.

    mode: the name that ``torch.nn.RNNBase.mode`` gives the cell. dropout, layer_dropout: probabilities, of what the
    first layer and the output layer read, and between the layers.
    """

    mode: str
    precision: Precision
    num_layers: int
    dropout: float
    layer_dropout: float


class Step(NamedTuple):
    """One step's inputs.

    kernels: what computes it. ids, targets: int64 (batch, steps). state: float32 (layers, batch, hidden) each.
    parameters: as ``StepParameters.in_order`` gives them.
    """

    kernels: Any
    ids: Tensor
    targets: Tensor
    state: CellState
    parameters: Sequence[Tensor | None]
    options: StepOptions


def check_shapes(ids: Tensor, targets: Tensor, state: CellState, expected: tuple[int, int, int]) -> None:
    """Raises InputError for what makes no step. expected: the state's shape, (layers, batch, hidden)."""
    if ids.dim() != 2 or ids.shape != targets.shape or any(part.shape != expected for part in state):
        shapes = [tuple(part.shape) for part in state]
        raise InputError(
            f"ids {tuple(ids.shape)}, targets {tuple(targets.shape)} and a state of {shapes} do not fit: ids and "
            f"targets are (batch, steps), the state {expected}"
        )


def native_loss(step: Step) -> tuple[Tensor, CellState]:
    """Mean nats of the targets after the ids, and the last state, detached.

    Raises InputError for ids beside the vocabulary. What the kernels cover is ``dispatch.covers``'s to say.
    """
    last = _empty_state(step)
    loss: Tensor = _Loss.apply(step, last, *step.parameters)  # type: ignore[no-untyped-call] # torch's
    return loss, last


def native_backpropagation(step: Step) -> tuple[Tensor, CellState]:
    """As ``native_loss(step)[0].backward()``, without the autograd engine, which a small step would feel."""
    last = _empty_state(step)
    loss, gradients = _run(step, last)
    for parameter, gradient in zip(step.parameters, gradients, strict=True):
        if parameter is not None and parameter.requires_grad:
            assert gradient is not None
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    return loss, last


def _empty_state(step: Step) -> CellState:
    return tuple(torch.empty_like(part, memory_format=torch.contiguous_format) for part in step.state)


def _run(step: Step, last: CellState) -> tuple[Tensor, list[Tensor | None]]:
    """The loss, and the gradients in the parameters' order; writes the last state."""
    kernels, ids, targets, state, parameters, options = step
    embedding, output = parameters[0], parameters[-2]
    assert output is not None
    batch, steps = ids.shape
    vocabulary, hidden_size = output.shape
    shape = [
        CELLS.index(options.mode),
        PRECISIONS.index(options.precision),
        steps,
        batch,
        hidden_size,
        options.num_layers,
        vocabulary,
        0 if embedding is None else embedding.shape[1],
        thread_limit(),
    ]
    # Named, so that each lives until the call is over.
    dense = [p if p is None or p.is_contiguous() else p.detach().contiguous() for p in parameters]
    gradients = [None if p is None else torch.empty_like(p) for p in dense]
    first = [part.contiguous() for part in state]
    loss = torch.empty((), dtype=torch.float32)
    drops = options.dropout > 0 or options.layer_dropout > 0
    try:
        kernels.language_model_step(
            shape,
            ids.data_ptr(),
            targets.data_ptr(),
            [*ids.stride(), *targets.stride()],
            [0 if p is None else p.data_ptr() for p in dense],
            [0 if g is None else g.data_ptr() for g in gradients],
            options.dropout,
            options.layer_dropout,
            int(torch.randint(2**63 - 1, ())) if drops else 0,
            first[0].data_ptr(),
            first[1].data_ptr() if len(first) > 1 else 0,
            last[0].data_ptr(),
            last[1].data_ptr() if len(last) > 1 else 0,
            loss.data_ptr(),
        )
    except IndexError as error:
        raise InputError(str(error)) from None
    return loss, gradients


class _Loss(torch.autograd.Function):
    """The parameters are arguments so that autograd sees them; their values are taken from the step."""

    @staticmethod
    def forward(ctx: Any, step: Step, last: CellState, *_: Tensor | None) -> Tensor:
        loss, ctx.gradients = _run(step, last)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("backward a second time: the gradients of model.loss are given once; call it again")
        if (scale := float(upstream[0])) != 1:
            gradients = [None if g is None else g * scale for g in gradients]
        return (None, None, *gradients)
