"""Uses of a layer: forward and backward, training, several losses, threads, packed and unbatched inputs."""

# mypy: disallow-untyped-calls=False

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, rnn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from torch_comparison import Case, inputs_for, layout, outcome
from torch_uses import gradients, leaves, random_state, total, use


@use
def _forward(module: Any, _: Case) -> Any:
    outputs, state = module(inputs_for(module))
    return outputs, state, [layout(part) for part in leaves((outputs, state))]


@use
def _forward_from_a_state(module: Any, case: Case) -> Any:
    inputs, state = inputs_for(module, requires_grad=True), random_state(module, case)
    result = module(inputs, state)
    return result, gradients(module, total(result), inputs, *leaves(state))


@use
def _no_grad(module: Any, _: Case) -> Any:
    with torch.no_grad():
        return module(inputs_for(module))


@use
def _inference_mode(module: Any, _: Case) -> Any:
    with torch.inference_mode():
        outputs, _state = module(inputs_for(module))
        again = module(inputs_for(module))[0]
    return outputs.is_inference(), torch.equal(outputs, again), outputs.clone(), outcome(outputs.requires_grad_)


@use
def _training(module: Any, _: Case) -> Any:
    optimizer = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9)
    inputs = inputs_for(module)
    for _step in range(3):
        optimizer.zero_grad()
        total(module(inputs)).backward()
        optimizer.step()
    return [p.detach() for p in module.parameters()], [p.grad for p in module.parameters()]


@use
def _backward_twice(module: Any, _: Case) -> Any:
    loss = total(module(inputs_for(module)))
    loss.backward(retain_graph=True)
    loss.backward()
    again = outcome(loss.backward)
    return [p.grad for p in module.parameters()], again


@use
def _two_losses(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    outputs, state = module(inputs)
    outputs.square().sum().backward(retain_graph=True)
    total(state).backward()
    return [p.grad for p in module.parameters()], inputs.grad


@use
def _grad_twice(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    loss = total(module(inputs))
    return gradients(module, loss, retain_graph=True), gradients(module, loss, inputs)


@use
def _gradient_of_the_state_only(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    return gradients(module, total(module(inputs)[1]), inputs)


@use
def _gradient_of_the_inputs_only(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    return torch.autograd.grad(total(module(inputs)), inputs)


@use
def _gradients_given(module: Any, _: Case) -> Any:
    """Computes gradients from upstream gradients that are expanded, not contiguous, or absent."""
    outputs, state = module(inputs_for(module))
    one = torch.ones((), dtype=outputs.dtype, device=outputs.device)
    strided = torch.ones_like(outputs).permute(2, 1, 0).contiguous().permute(2, 1, 0)
    parts = leaves(state)
    return [
        gradients(module, outputs, grad_outputs=one.expand_as(outputs), retain_graph=True),
        gradients(
            module, outputs, grad_outputs=strided.cumsum(0) if not strided.is_meta else strided, retain_graph=True
        ),
        gradients(module, parts[-1], grad_outputs=one.expand_as(parts[-1])),
    ]


class _Nothing(torch.autograd.Function):
    """A function without a gradient."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(_: Any, __: Tensor) -> None:
        return None


@use
def _no_gradient_given(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    return gradients(module, total(_Nothing.apply(module(inputs)[0])), inputs)


@use
def _gradient_of_a_subclass(module: Any, _: Case) -> Any:
    outputs = module(inputs_for(module))[0]
    given = torch.ones_like(outputs).as_subclass(nn.Buffer)
    first = gradients(module, outputs, grad_outputs=given, retain_graph=True)
    return first, gradients(module, outputs, grad_outputs=torch._neg_view(torch.ones_like(outputs)))


@use
def _state_detached_between_calls(module: Any, _: Case) -> Any:
    inputs = inputs_for(module)
    _outputs, state = module(inputs)
    state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
    result = module(inputs, state)
    return result, gradients(module, total(result))


@use
def _threads(module: Any, _: Case) -> Any:
    many = [inputs_for(module) * factor for factor in range(1, 7)]

    def work(inputs: Tensor) -> Any:
        result = module(inputs)
        return result, gradients(module, total(result))

    # Hooks and wrappers that set weights at each call interfere with each other in PyTorch, too.
    alone = isinstance(module, nn.RNNBase) and not (module._forward_pre_hooks or parametrize.is_parametrized(module))
    with ThreadPoolExecutor(3 if alone else 1) as pool:
        return list(pool.map(work, many))


@use
def _backward_in_another_thread(module: Any, _: Case) -> Any:
    loss = total(module(inputs_for(module)))
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(gradients, module, loss).result()


@use
def _checkpoint(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    results = [checkpoint(module, inputs, use_reentrant=reentrant) for reentrant in (False, True)]
    return [gradients(module, total(results[0]), inputs), outcome(lambda: _accumulated(module, total(results[1])))]


def _accumulated(module: Any, loss: Tensor) -> Any:
    loss.backward()
    return [p.grad for p in module.parameters()]


@use
def _checkpoint_sequential(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    parts = nn.Sequential(nn.Identity(), module)
    return gradients(module, total(checkpoint_sequential(parts, 2, inputs, use_reentrant=False)), inputs)


@use
def _packed(module: Any, _: Case) -> Any:
    packed = rnn.pack_padded_sequence(inputs_for(module), torch.tensor([5, 3]))
    outputs, state = module(packed)
    return outputs.data, state, gradients(module, total((outputs.data, state)))


@use
def _packed_unsorted(module: Any, _: Case) -> Any:
    packed = rnn.pack_padded_sequence(inputs_for(module), torch.tensor([3, 5]), enforce_sorted=False)
    outputs, state = module(packed)
    return rnn.pad_packed_sequence(outputs), state


@use
def _unbatched(module: Any, _: Case) -> Any:
    result = module(inputs_for(module)[:, 0])
    return result, gradients(module, total(result)), [layout(part) for part in leaves(result)]


@use
def _introspection(module: Any, _: Case) -> Any:
    return [
        repr(module),
        list(module.state_dict()),
        [(name, p.shape, p.requires_grad) for name, p in module.named_parameters()],
        [name for name, _part in module.named_modules()],
        [name for name, _buffer in module.named_buffers()],
    ]
