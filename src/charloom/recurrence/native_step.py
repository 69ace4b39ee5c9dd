"""Loss and all gradients of a language model in one native call.

Tokens -> recurrent layers -> logits -> mean cross-entropy, and back, as one autograd function whose forward computes
the gradients too: it composes with any optimizer and with distributed training. Tokens are gathered, never one-hot.

Parameters stand in the order of ``ModelShape.parameters``: the embedding, None for one-hot input; four of each layer,
whose biases may be None; the output layer's weight and bias.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from charloom.errors import InputError
from charloom.recurrence import kernel_calls
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.kernel_arguments import OptionalTensors
from charloom.recurrence.kernel_calls import Step
from charloom.recurrence.native import in_place_of
from charloom.recurrence.scan import scan_direction, scan_layers
from charloom.recurrence.torch_internals import is_batched, is_differentiated, keeps_graph
from charloom.settings.cells import CELLS


def native_loss(step: Step, parameters: OptionalTensors) -> tuple[Tensor, CellState]:
    """Computes the mean surprisal (nats) of the targets after the ids, and the last state, detached.

    Raises:
        KernelArgumentError: A tensor has another shape, dtype or layout than the kernels take; PyTorch may take it.
        InputError: An id is not in the vocabulary.
    """
    results: list[CellState] = []
    loss: Tensor = _Loss.apply(step, results, *parameters)  # type: ignore[no-untyped-call] # torch's
    return loss, results[0]


def native_backpropagation(step: Step, parameters: OptionalTensors) -> tuple[Tensor, CellState]:
    """As ``native_loss(...)[0].backward()``, without the autograd engine, whose time a small step would feel.

    Only for parameters that are leaves without hooks, whose gradients, if there are any, are dense.
    """
    if torch.is_anomaly_enabled():  # the engine is what looks for NaN
        loss, last = native_loss(step, parameters)
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        return loss.detach(), last
    loss, gradients, last = _run(step, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter is not None and gradient is not None and parameter.requires_grad:
            before = parameter.grad
            if before is None:
                parameter.grad = gradient
            else:  # in place, as autograd: it may be a view of a block of all gradients
                before.detach().add_(gradient)
    return loss, last


def _run(step: Step, parameters: OptionalTensors) -> tuple[Tensor, list[Tensor | None], CellState]:
    """The loss, the gradients in the parameters' order, and the last state."""
    dense = [p if p is None or p.is_contiguous() else p.detach().contiguous() for p in parameters]
    state = tuple(part.contiguous() for part in step.state)
    return kernel_calls.language_model_step(step._replace(state=state), dense)


class _Loss(torch.autograd.Function):
    """The parameters are arguments, so that autograd sees them."""

    @staticmethod
    def forward(ctx: Any, step: Step, results: list[CellState], *parameters: Tensor | None) -> Tensor:
        loss, gradients, last = _run(step, parameters)
        results.append(last)
        # Copies: second derivatives read them again, and a buffer may have been filled with the next minibatch by then.
        state = tuple(part.clone() for part in step.state)
        ctx.step = step._replace(ids=step.ids.clone(), targets=step.targets.clone(), state=state)
        ctx.save_for_backward(*parameters, *gradients)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        parameters, gradients = saved[: len(saved) // 2], list(saved[len(saved) // 2 :])
        scale = upstream[0]
        if torch.is_grad_enabled():  # create_graph: the gradients are to be differentiated again
            gradients = _differentiable_gradients(ctx.step, parameters, scale)
        elif type(scale) is not Tensor or is_differentiated() or is_batched(scale) or float(scale) != 1:
            gradients = [None if g is None else g * scale for g in gradients]
        elif keeps_graph():  # the next call must find these unchanged
            gradients = [None if g is None else g.clone() for g in gradients]
        return (None, None, *gradients)


def _differentiable_gradients(step: Step, parameters: OptionalTensors, scale: Tensor) -> list[Tensor | None]:
    """The gradients by way of the equations, whose own can be taken."""
    if step.dropout or step.layer_dropout:
        raise InputError(
            "second derivatives of LanguageModel.loss are not available with dropout: call eval(), or compute the loss "
            "from forward's logits"
        )
    views = [None if p is None else p.view_as(p) for p in parameters]  # differentiation ends here
    loss = _loss_by_equations(step, views)
    wanted = [p if p is not None and p.requires_grad else None for p in views]
    found = torch.autograd.grad(loss, [p for p in wanted if p is not None], scale, create_graph=True)
    return in_place_of(wanted, found)


def _loss_by_equations(step: Step, parameters: Sequence[Any]) -> Tensor:
    embedding, *weights, output, output_bias = parameters
    if embedding is None:
        inputs = functional.one_hot(step.ids.t(), step.shape.vocabulary).to(output.dtype)
    else:
        inputs = functional.embedding(step.ids.t(), embedding)
    layers = [CellWeights._make(weights[i : i + 4]) for i in range(0, len(weights), 4)]
    equations = STEPS[CELLS[step.shape.cell].mode]
    outputs, _ = scan_layers(lambda *call: scan_direction(equations, *call), inputs, step.state, layers)
    logits = functional.linear(outputs, output, output_bias)
    return functional.cross_entropy(logits.flatten(0, 1), step.targets.t().flatten())
