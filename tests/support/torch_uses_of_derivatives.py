"""Uses of a layer: second derivatives, Jacobians, ``torch.func``, forward mode."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from torch_comparison import Case, inputs_for
from torch_uses import gradients, total, use


@use
def _gradient_penalty(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    first = gradients(module, total(module(inputs)), inputs, create_graph=True)
    penalty = sum(gradient.square().sum() for gradient in first if gradient is not None)
    return first, gradients(module, penalty, inputs)


@use
def _gradient_penalty_step_by_step(module: Any, case: Case) -> Any:
    inputs, state, outputs = inputs_for(module, requires_grad=True), None, []
    steps = inputs.split(1, dim=1 if case.batch_first else 0)
    for step in steps:
        output, state = module(step, state)
        outputs.append(output)
    first = gradients(module, total(outputs), inputs, create_graph=True)
    penalty = sum(gradient.square().sum() for gradient in first if gradient is not None)
    return first, gradients(module, penalty, inputs)


def _few(module: Any) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Returns a function of few numbers to few numbers, whose Jacobian is small."""
    return lambda inputs: module(inputs)[0].sum(-1), inputs_for(module, 2, 2)


@use
def _jacobian(module: Any, _: Case) -> Any:
    return torch.autograd.functional.jacobian(*_few(module))


@use
def _jacobian_vectorized(module: Any, _: Case) -> Any:
    return torch.autograd.functional.jacobian(*_few(module), vectorize=True)


@use
def _hessian(module: Any, _: Case) -> Any:
    function, inputs = _few(module)
    return torch.autograd.functional.hessian(lambda x: function(x).sin().sum(), inputs)


@use
def _func_grad(module: Any, _: Case) -> Any:
    return torch.func.grad(lambda x: total(module(x)))(inputs_for(module))


@use
def _func_grad_of_parameters(module: Any, _: Case) -> Any:
    inputs = inputs_for(module)

    def loss(parameters: Any) -> Tensor:
        return total(torch.func.functional_call(module, parameters, (inputs,)))

    return torch.func.grad(loss)({name: p.detach() for name, p in module.named_parameters()})


@use
def _func_vjp(module: Any, _: Case) -> Any:
    outputs, pull, *_others = torch.func.vjp(lambda x: module(x)[0], inputs_for(module))
    return outputs, pull(torch.ones_like(outputs))


@use
def _func_jvp(module: Any, _: Case) -> Any:
    inputs = inputs_for(module)
    return torch.func.jvp(lambda x: module(x)[0], (inputs,), (torch.ones_like(inputs),))


@use
def _func_jacrev(module: Any, _: Case) -> Any:
    function, inputs = _few(module)
    return torch.func.jacrev(function)(inputs)


@use
def _func_hessian(module: Any, _: Case) -> Any:
    function, inputs = _few(module)
    return torch.func.hessian(lambda x: function(x).sin().sum())(inputs)


@use
def _vmap(module: Any, _: Case) -> Any:
    inputs = inputs_for(module)
    return torch.func.vmap(lambda x: module(x)[0])(torch.stack([inputs, inputs * 2]))


@use
def _vmap_of_gradients(module: Any, _: Case) -> Any:
    """Computes gradients of each sample by the parameters."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    inputs = inputs_for(module)

    def loss(parameters: Any, x: Tensor) -> Tensor:
        return total(torch.func.functional_call(module, parameters, (x.unsqueeze(1),)))

    return torch.func.vmap(torch.func.grad(loss), (None, 1))(parameters, inputs)


@use
def _func_jvp_of_gradients(module: Any, case: Case) -> Any:
    """Uses gradients whose forward pass ran outside; PyTorch's LSTM refuses it, otherwise the value must be right."""
    outputs = module(inputs_for(module))[0]
    weight = next(p for p in module.parameters() if p.requires_grad)

    def gradient(given: Tensor) -> Any:
        return torch.autograd.grad(outputs, weight, given, retain_graph=True)[0]

    given = torch.linspace(-1, 1, outputs.numel()).view(outputs.shape).to(outputs)
    if case.cell == "lstm":  # linear in ``given``, so that this is the tangent
        return gradient(given), gradient(given * 2)
    return torch.func.jvp(gradient, (given,), (given * 2,))


@use
def _forward_ad(module: Any, _: Case) -> Any:
    inputs = inputs_for(module)
    with forward_ad.dual_level():
        outputs = module(forward_ad.make_dual(inputs, torch.ones_like(inputs)))[0]
        return tuple(forward_ad.unpack_dual(outputs))
