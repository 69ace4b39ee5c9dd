"""Transforms of a layer by PyTorch's users: a table of functions, module to module.

A new row is one entry of ``TRANSFORMS``. Functions that act on weights act on the recurrent layer inside, so that rows
can be applied one after the other.
"""

# mypy: disallow-untyped-calls=False

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import charloom
from torch_comparison import layer_in, layers_in

_WEIGHT = "weight_hh_l0"


class _Wrapper(nn.Module):
    """A module around a layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *arguments: Any) -> Any:
        return self.layer(*arguments)


class _Called(_Wrapper):
    """A module that is called by ``functional_call`` with other values for some parameters, computed from its own."""

    def __init__(self, layer: Any, names: Callable[[str], bool]) -> None:
        super().__init__(layer)
        self.names = names

    def forward(self, *arguments: Any) -> Any:
        values = {name: value * 1.5 for name, value in self.layer.named_parameters() if self.names(name)}
        return torch.func.functional_call(self.layer, values, arguments)


class _WeightDrop(_Wrapper):
    """AWD-LSTM's weight drop: the layer's weights are set at each call."""

    def __init__(self, layer: Any, put: Callable[[Any, Tensor], None]) -> None:
        super().__init__(layer)
        inner = layer_in(layer)
        weight = getattr(inner, _WEIGHT)
        self.put, self.raw = put, nn.Parameter(weight.detach().clone())
        inner._parameters.pop(_WEIGHT, None)
        setattr(inner, _WEIGHT, weight.detach())

    def forward(self, *arguments: Any) -> Any:
        mask = torch.arange(self.raw.numel(), device=self.raw.device).view_as(self.raw) % 3 > 0
        self.put(layer_in(self.layer), self.raw * mask)
        return self.layer(*arguments)


class _Tanh(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


class _Scaled(nn.Module):
    """A parametrization with a parameter of its own, and an inverse."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((), 2.0, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale

    def right_inverse(self, x: Tensor) -> Tensor:
        return x / self.scale


def on_layer(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a transform that changes the recurrent layer inside any module."""

    def transform(module: Any) -> Any:
        change(layer_in(module))
        return module

    return transform


def put(name: str, make: Callable[[Tensor], Any]) -> Callable[[Any], Any]:
    """Returns a transform that replaces a weight by a parameter."""

    def change(layer: Any) -> None:
        setattr(layer, name, nn.Parameter(make(getattr(layer, name).detach())))

    return on_layer(change)


def put_plain(name: str, make: Callable[[Tensor], Any]) -> Callable[[Any], Any]:
    """Returns a transform that replaces a weight by a tensor that is not a parameter."""

    def change(layer: Any) -> None:
        value = make(getattr(layer, name).detach())
        del layer._parameters[name]
        setattr(layer, name, value)

    return on_layer(change)


def _removed_parametrization(layer: Any) -> None:
    parametrizations.weight_norm(layer, _WEIGHT)
    parametrize.remove_parametrizations(layer, _WEIGHT)


def _removed_weight_norm(layer: Any) -> None:
    nn.utils.weight_norm(layer, _WEIGHT)
    nn.utils.remove_weight_norm(layer, _WEIGHT)


def _pruned_for_good(layer: Any) -> None:
    prune.l1_unstructured(layer, _WEIGHT, 0.5)
    prune.remove(layer, _WEIGHT)


def _loaded(factor: float, **options: Any) -> Callable[[Any], None]:
    def change(layer: Any) -> None:
        layer.load_state_dict({name: value * factor for name, value in layer.state_dict().items()}, **options)

    return change


def _new_data(layer: Any) -> None:
    weight = getattr(layer, _WEIGHT)
    weight.data = weight.data * 2


def _in_parameters(layer: Any) -> None:
    layer._parameters[_WEIGHT] = nn.Parameter(getattr(layer, _WEIGHT).detach() * 2)


def _changed_in_place(layer: Any) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.5)


def _from_vector(layer: Any) -> None:
    vector = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(vector.detach() * 1.5, layer.parameters())


def _tied(layer: Any) -> None:
    layer.bias_hh_l0 = layer.bias_ih_l0


def _frozen(*parts: str) -> Callable[[Any], None]:
    def change(layer: Any) -> None:
        for name, parameter in layer.named_parameters():
            if any(part in name for part in parts):
                parameter.requires_grad_(False)

    return change


def _saved_and_loaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def _restored(module: Any) -> Any:
    """Restores the classes of torch.nn in place of charloom's."""
    if any(isinstance(layer, charloom.layers.RecurrentLayer) for layer in layers_in(module)):
        assert charloom.restore(module) is module
        assert all(type(layer).__module__ == "torch.nn.modules.rnn" for layer in layers_in(module))
    return module


def _initialized(module: Any) -> Any:
    """Initializes weights in Dive into Deep Learning's way."""

    def init(part: Any) -> None:
        if type(part) == nn.LSTM or type(part) == nn.GRU or type(part) == nn.RNN:  # noqa: E721 - as people write it
            for name in part._flat_weights_names:
                if "weight" in name:
                    nn.init.constant_(getattr(part, name), 0.25)

    module.apply(init)
    return module


def _hooked(register: str, hook: Callable[..., Any], **options: Any) -> Callable[[Any], None]:
    return lambda layer: getattr(layer, register)(hook, **options)


def scaled_output(_: Any, __: Any, output: Any) -> Any:
    """Scales the output, as a forward hook of a layer or of any module around it."""
    return output[0] * 2, output[1]


def scaled_input(_: Any, arguments: Any) -> Any:
    """Scales the input, as a forward pre-hook."""
    return (arguments[0] * 2, *arguments[1:])


def scaled_gradient(_: Any, given: Any, __: Any = None) -> Any:
    """Scales the gradients, as a backward hook or pre-hook."""
    return tuple(None if gradient is None else gradient * 2 for gradient in given)


def _tensor_hook(layer: Any) -> None:
    getattr(layer, _WEIGHT).register_hook(lambda gradient: gradient * 3)


def _accumulate_hook(layer: Any) -> None:
    def scale(parameter: Tensor) -> None:
        assert parameter.grad is not None
        parameter.grad.mul_(3)

    getattr(layer, _WEIGHT).register_post_accumulate_grad_hook(scale)


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda module: module,
    "functional_call": lambda module: _Called(module, lambda _: True),
    "functional_call, some": lambda module: _Called(module, lambda name: "weight_hh" in name),
    "parametrizations.weight_norm": on_layer(lambda layer: parametrizations.weight_norm(layer, _WEIGHT)),
    "parametrizations.weight_norm, input": on_layer(lambda layer: parametrizations.weight_norm(layer, "weight_ih_l0")),
    "parametrizations.spectral_norm": on_layer(lambda layer: parametrizations.spectral_norm(layer, _WEIGHT)),
    "parametrizations.orthogonal": on_layer(lambda layer: parametrizations.orthogonal(layer, _WEIGHT)),
    "parametrize": on_layer(lambda layer: parametrize.register_parametrization(layer, _WEIGHT, _Tanh())),
    "parametrize, own": on_layer(lambda layer: parametrize.register_parametrization(layer, _WEIGHT, _Scaled())),
    "parametrize, removed": on_layer(_removed_parametrization),
    "utils.weight_norm": on_layer(lambda layer: nn.utils.weight_norm(layer, _WEIGHT)),
    "utils.weight_norm, removed": on_layer(_removed_weight_norm),
    "utils.spectral_norm": on_layer(lambda layer: nn.utils.spectral_norm(layer, _WEIGHT)),
    "prune": on_layer(lambda layer: prune.l1_unstructured(layer, _WEIGHT, 0.5)),
    "prune, for good": on_layer(_pruned_for_good),
    "prune, structured": on_layer(lambda layer: prune.ln_structured(layer, _WEIGHT, 0.5, n=2, dim=0)),
    "weight drop": lambda module: _WeightDrop(module, lambda layer, value: setattr(layer, _WEIGHT, value)),
    "weight drop, __dict__": lambda module: _WeightDrop(
        module, lambda layer, value: layer.__dict__.__setitem__(_WEIGHT, value)
    ),
    "_parameters": on_layer(_in_parameters),
    "load_state_dict": on_layer(_loaded(1.5)),
    "load_state_dict, assign": on_layer(_loaded(0.5, assign=True)),
    ".data": on_layer(_new_data),
    "in place": on_layer(_changed_in_place),
    "vector_to_parameters": on_layer(_from_vector),
    "another weight": put(_WEIGHT, lambda weight: weight * 2),
    "weights not contiguous": put(_WEIGHT, lambda weight: weight.t().contiguous().t()),
    "weights expanded": put("weight_ih_l0", lambda weight: weight[:1].expand_as(weight)),
    "tied biases": on_layer(_tied),
    "to float64": lambda module: module.to(torch.float64),
    "to float16": lambda module: module.half(),
    "to bfloat16": lambda module: module.to(torch.bfloat16),
    "to float64 and back": lambda module: module.double().float(),
    "to meta": lambda module: module.to("meta"),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "save and load": _saved_and_loaded,
    "share_memory": lambda module: module.share_memory(),
    "eval": lambda module: module.eval(),
    "frozen": lambda module: module.requires_grad_(False),
    "frozen hidden weights": on_layer(_frozen("weight_hh")),
    "frozen input weights": on_layer(_frozen("weight_ih", "bias_ih")),
    "frozen biases": on_layer(_frozen("bias")),
    "restore": _restored,
    "flatten_parameters": on_layer(lambda layer: layer.flatten_parameters()),
    "D2L's initialization": _initialized,
    "forward hook": on_layer(_hooked("register_forward_hook", scaled_output)),
    "forward pre-hook": on_layer(_hooked("register_forward_pre_hook", scaled_input)),
    "full backward hook": on_layer(_hooked("register_full_backward_hook", scaled_gradient)),
    "full backward pre-hook": on_layer(_hooked("register_full_backward_pre_hook", scaled_gradient)),
    "tensor hook": on_layer(_tensor_hook),
    "post-accumulate hook": on_layer(_accumulate_hook),
    "NaN weight": put(_WEIGHT, lambda weight: weight.index_fill(1, torch.tensor([0]), float("nan"))),
    "infinite weight": put("weight_ih_l0", lambda weight: weight.index_fill(0, torch.tensor([0]), float("inf"))),
    "large weight": put(_WEIGHT, lambda weight: weight * 3),
}
