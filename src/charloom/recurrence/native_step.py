"""Loss and all gradients of a language model in one native call.

The call computes token ids -> recurrent layers -> logits -> mean cross-entropy, and backpropagates. It is an autograd
function whose forward pass computes the gradients too, so that any optimizer and distributed training can use it. Rows
of the input weights are gathered by token id: no one-hot tensor is allocated.

Parameters are in the order of ``ModelShape.parameters``: the embedding, None for one-hot input; four of each layer,
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
from charloom.recurrence.native import fill_places
from charloom.recurrence.scan import scan_direction, scan_layers
from charloom.recurrence.torch_internals import is_batched, is_differentiated, keeps_graph
from charloom_codec.cells import CELLS


def native_loss(step: Step, parameters: OptionalTensors) -> tuple[Tensor, CellState]:
    """Computes the loss with a graph for autograd.

    Returns:
        The mean surprisal of the targets in nats, a scalar, and the last state, detached.

    Raises:
        KernelArgumentError: A tensor's shape, dtype or layout is not what the kernels take; PyTorch may take it.
        InputError: An id is not in the vocabulary.
    """
    # The state returns through a list, because an output of the function would be part of the graph.
    results: list[CellState] = []
    loss: Tensor = _Loss.apply(step, results, *parameters)  # type: ignore[no-untyped-call] # torch's
    return loss, results[0]


def native_backpropagation(step: Step, parameters: OptionalTensors) -> tuple[Tensor, CellState]:
    """Computes the loss and adds its gradients to ``grad``, as ``native_loss(...)[0].backward()`` does, but faster.

    Parameters must be leaves without hooks, and their gradients, if there are any, dense.

    Returns:
        The mean surprisal of the targets in nats, a scalar, and the last state, both detached.
    """
    # The overhead of the autograd engine is noticeable in a small step. In anomaly mode the engine is needed: it is
    # what checks for NaN.
    if torch.is_anomaly_enabled():
        loss, last = native_loss(step, parameters)
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        return loss.detach(), last
    loss, gradients, last = _run(step, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter is not None and gradient is not None and parameter.requires_grad:
            before = parameter.grad
            if before is None:
                parameter.grad = gradient
            else:  # in place, as autograd does: the gradient may be a view of one buffer for all gradients
                before.detach().add_(gradient)
    return loss, last


def _run(step: Step, parameters: OptionalTensors) -> tuple[Tensor, list[Tensor | None], CellState]:
    """Computes the loss, the gradients in the parameters' order, and the last state."""
    # Parameters that are not contiguous are rare: copying them is simpler than kernels that take strides.
    dense = [p if p is None or p.is_contiguous() else p.detach().contiguous() for p in parameters]
    state = tuple(part.contiguous() for part in step.state)
    return kernel_calls.language_model_step(step._replace(state=state), dense)


class _Loss(torch.autograd.Function):
    """The loss as a function of the parameters."""

    @staticmethod
    def forward(ctx: Any, step: Step, results: list[CellState], *parameters: Tensor | None) -> Tensor:
        loss, gradients, last = _run(step, parameters)
        results.append(last)
        # Copies: second derivatives read them again, and by then a buffer may hold the next minibatch.
        state = tuple(part.clone() for part in step.state)
        ctx.step = step._replace(ids=step.ids.clone(), targets=step.targets.clone(), state=state)
        ctx.save_for_backward(*parameters, *gradients)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        parameters, gradients = saved[: len(saved) // 2], list(saved[len(saved) // 2 :])
        scale = upstream[0]
        if torch.is_grad_enabled():  # with create_graph: these gradients have no graph
            gradients = _differentiable_gradients(ctx.step, parameters, scale)
        elif type(scale) is not Tensor or is_differentiated() or is_batched(scale) or float(scale) != 1:
            gradients = [None if g is None else g * scale for g in gradients]
        elif keeps_graph():  # a second backward pass must find the saved gradients unchanged
            gradients = [None if g is None else g.clone() for g in gradients]
        return (None, None, *gradients)


def _differentiable_gradients(step: Step, parameters: OptionalTensors, scale: Tensor) -> list[Tensor | None]:
    """Computes the gradients from the equations, so that they can be differentiated again."""
    if step.dropout or step.layer_dropout:
        raise InputError(
            "second derivatives of LanguageModel.loss are not available with dropout: call eval(), or compute the loss "
            "from forward's logits"
        )
    # Views, so that differentiation ends here, at non-leaf parameters too.
    views = [None if p is None else p.view_as(p) for p in parameters]
    loss = _loss_by_equations(step, views)
    wanted = [p if p is not None and p.requires_grad else None for p in views]
    found = torch.autograd.grad(loss, [p for p in wanted if p is not None], scale, create_graph=True)
    return fill_places(wanted, found)


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
