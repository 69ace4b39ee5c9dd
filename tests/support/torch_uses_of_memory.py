"""Uses of a layer: outputs, inputs and weights changed in place, views, and hooks on tensors."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torch_comparison import Case, inputs_for, layer_in, outcome
from torch_uses import USES, Use, gradients, leaves, random_state, total, use


def _changed_after(change: Callable[[Tensor, Tensor], Any]) -> Use:
    """Changes outputs and last state in place, then runs backward."""

    def function(module: Any, _: Case) -> Any:
        inputs = inputs_for(module, requires_grad=True)
        outputs, state = module(inputs)
        results = [change(outputs, *leaves(state)[:1]), outputs, state]
        return [part for part in results if part is not None], gradients(module, total((outputs, state)), inputs)

    return function


def _assigned(outputs: Tensor, _: Tensor) -> None:
    outputs[1:, 0] = 0.0


def _mask(outputs: Tensor) -> Tensor:
    elements = torch.arange(outputs.numel(), device=outputs.device).view(outputs.shape)
    return (elements % 3 > 0).to(outputs.dtype)


_CHANGES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "outputs mul_": lambda outputs, _: outputs.mul_(_mask(outputs)),
    "outputs relu_": lambda outputs, _: outputs.relu_(),
    "outputs ReLU(inplace)": lambda outputs, _: nn.ReLU(inplace=True)(outputs),
    "outputs Dropout(inplace)": lambda outputs, _: nn.Dropout(0.5, inplace=True)(outputs),
    "outputs masked_fill_": lambda outputs, _: outputs.masked_fill_(_mask(outputs) > 0, 0.0),
    "outputs assigned": _assigned,
    "outputs .data": lambda outputs, _: outputs.data.mul_(2),  # not counted as a new version
    "outputs by NumPy": lambda outputs, _: torch.from_numpy(outputs.detach().numpy()).mul_(2),
    "outputs zero_": lambda outputs, _: outputs.zero_(),
    "outputs add_ state": lambda outputs, state: outputs.add_(state[0, 0, 0]),
    "outputs detach_": lambda outputs, _: outputs.detach_(),
    "outputs transpose_": lambda outputs, _: outputs.transpose_(0, 1),
    "outputs resized": lambda outputs, _: outputs.unsqueeze_(0).squeeze_(0),
    "a row of outputs mul_": lambda outputs, _: outputs[0].mul_(2),
    "a view of outputs mul_": lambda outputs, _: outputs.view(-1)[::2].mul_(2),
    "state mul_": lambda _, state: state.mul_(2),
    "state zero_ and outputs": lambda outputs, state: (state.zero_(), outputs.add_(1))[1],
    "last outputs mul_": lambda outputs, state: (outputs[-1].mul_(2), state)[1],
}
USES.update({f"changed: {name}": _changed_after(change) for name, change in _CHANGES.items()})


def _changed_before_backward(change: Callable[[Any, Tensor, Any, Any], Any]) -> Use:
    """Changes an argument in place between forward and backward: refused if PyTorch needs it."""

    def function(module: Any, case: Case) -> Any:
        leaf = inputs_for(module, requires_grad=True)
        state = random_state(module, case)
        inputs = leaf * 1
        read = tuple(part * 1 for part in leaves(state))
        result = module(inputs, read if isinstance(state, tuple) else read[0])
        with torch.no_grad():
            change(layer_in(module), inputs, read, result)
        return gradients(module, total(result), leaf, *leaves(state))

    return function


_CHANGES_BEFORE_BACKWARD: dict[str, Callable[[Any, Tensor, Any, Any], Any]] = {
    "nothing": lambda *_: None,
    "inputs": lambda _, inputs, __, ___: inputs.mul_(2),
    "state": lambda _, __, state, ___: state[0].mul_(2),
    "memory cell": lambda _, __, state, ___: state[-1].mul_(2),
    "hidden weights": lambda layer, *_: layer.weight_hh_l0.mul_(2),
    "input weights": lambda layer, *_: layer.weight_ih_l0.mul_(2),
    "hidden weights' data": lambda layer, *_: layer.weight_hh_l0.data.mul_(1),
    "outputs": lambda _, __, ___, result: result[0].mul_(1),
}
USES.update(
    {
        f"changed before backward: {name}": _changed_before_backward(change)
        for name, change in _CHANGES_BEFORE_BACKWARD.items()
    }
)


@use
def _step_of_the_optimizer_before_backward(module: Any, _: Case) -> Any:
    """Trains a generator with a critic's old graph: refused by PyTorch."""
    inputs = inputs_for(module)
    first, second = total(module(inputs)), total(module(inputs))
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    first.backward()
    optimizer.step()
    return outcome(second.backward), [p.detach() for p in module.parameters()]


def _swapped_before_backward(part: str, make: Callable[[Tensor], Tensor]) -> Use:
    """Replaces weights between forward and backward, as weight stashing and averages do."""

    def function(module: Any, case: Case) -> Any:
        inputs = inputs_for(module, requires_grad=True)
        loss, kept = total(module(inputs)), []
        for name, parameter in layer_in(module).named_parameters():
            if part in name and case.cell != "lstm":  # oneDNN mixes old activations with new weights
                kept.append((parameter, parameter.data))
                parameter.data = make(parameter.data)
        found = torch.autograd.grad(loss, inputs)
        for parameter, data in kept:
            parameter.data = data
        return found

    return function


_SWAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "other": lambda data: data * 3,
    "empty": lambda data: data.new_empty(0),
}
USES.update(
    {
        f"swapped before backward: {part}, {name}": _swapped_before_backward(part, make)
        for part in ("weight_ih", "weight_hh", "bias", "_")
        for name, make in _SWAPS.items()
    }
)


@use
def _view_of_outputs(module: Any, _: Case) -> Any:
    outputs, state = module(inputs_for(module))
    return outcome(lambda: outputs.view(-1, outputs.shape[-1])), [part.view(-1) for part in leaves(state)]


@use
def _view_of_gradients(module: Any, _: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    return [g if g is None else g.view(-1) for g in gradients(module, total(module(inputs)))]


@use
def _numpy(module: Any, _: Case) -> Any:
    outputs, state = module(inputs_for(module))
    return outputs.detach().numpy().sum().item(), [part.detach().numpy().shape for part in leaves(state)]


@use
def _outputs_kept(module: Any, _: Case) -> Any:
    """Calls the layer again: earlier outputs, states and their saved tensors must not change."""
    inputs = inputs_for(module)
    result = module(inputs)
    before = [part.detach().clone() for part in leaves(result)]
    module(inputs * 3)
    torch.no_grad()(module)(inputs * 4)
    return before, [part.detach() for part in leaves(result)], gradients(module, total(result))


@use
def _hooks_on_tensors(module: Any, _: Case) -> Any:
    inputs, seen = inputs_for(module, requires_grad=True), []
    outputs, state = module(inputs)
    outputs.retain_grad()
    outputs.register_hook(lambda gradient: gradient * 2)
    leaves(state)[0].register_hook(lambda gradient: seen.append(gradient.sum()))
    total((outputs, state)).backward()
    return outputs.grad, inputs.grad, seen, [p.grad for p in module.parameters()]


@use
def _saved_tensors_hooks(module: Any, _: Case) -> Any:
    """Keeps activations in numpy, as if they were offloaded to the disk."""
    inputs = inputs_for(module, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().numpy().copy(), torch.from_numpy):
        loss = total(module(inputs))
    return gradients(module, loss, inputs)


@use
def _saved_tensors_in_halves(module: Any, case: Case) -> Any:
    inputs = inputs_for(module, requires_grad=True)
    if case.cell == "lstm":  # PyTorch's LSTM keeps a buffer of bytes, and refuses
        return gradients(module, total(module(inputs)), inputs)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.half(), lambda t: t.float()):
        outputs = module(inputs)[0]
    found = gradients(module, outputs.sum(), inputs)
    return [None if g is None else g.bfloat16() for g in found]  # compared to few digits


@use
def _saved_tensors_altered(module: Any, _: Case) -> Any:
    """Changes the values of saved tensors, as lossy compression does, but not size and type."""
    inputs = inputs_for(module, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t * 2 if t.is_floating_point() else t * 0):
        outputs = module(inputs)[0]
    return gradients(module, outputs.sum(), inputs)


@use
def _saved_tensors_checked(module: Any, _: Case) -> Any:
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        result = module(inputs_for(module))
        with torch.no_grad():
            layer_in(module).weight_hh_l0.mul_(2)
        return gradients(module, total(result))


@use
def _gradients_added_up(module: Any, _: Case) -> Any:
    for factor in (1, 2):
        total(module(inputs_for(module) * factor)).backward()
    kept = [p.grad for p in module.parameters()]
    module.zero_grad(set_to_none=False)
    return [g is None or float(g.abs().sum()) for g in kept]


@use
def _gradients_in_one_vector(module: Any, _: Case) -> Any:
    """Makes gradients views of one block, as DistributedDataParallel and others do."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    block = torch.zeros(sum(p.numel() for p in parameters), dtype=parameters[0].dtype, device=parameters[0].device)
    for p, part in zip(parameters, block.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view(p.shape)
    total(module(inputs_for(module))).backward()
    return block
