"""Uses of a layer: arguments of a call, valid and invalid."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torch_comparison import Case, inputs_for
from torch_uses import USES, Use, gradients, leaves, random_state, total


def _reads(make: Callable[[Tensor], Any]) -> Use:
    """Returns a use that calls the layer with modified inputs, and computes gradients."""

    def function(module: Any, _: Case) -> Any:
        leaf = inputs_for(module, requires_grad=True)
        result = module(make(leaf))
        return result, gradients(module, total(result), leaf)

    return function


def _spoiled(value: float) -> Callable[[Tensor], Tensor]:
    def make(inputs: Tensor) -> Tensor:
        mask = torch.zeros_like(inputs, dtype=torch.bool)
        mask[1, 0, 1] = True
        return inputs.masked_fill(mask, value)

    return make


_INPUTS: dict[str, Callable[[Tensor], Any]] = {
    "expanded": lambda inputs: inputs[:1].expand(7, -1, -1),
    "expanded batch": lambda inputs: inputs[:, :1].expand(-1, 4, -1),
    "strided": lambda inputs: torch.cat([inputs, inputs], 2)[::2, :, ::2],
    "flipped": lambda inputs: inputs.flip(0).flip(2),
    "transposed": lambda inputs: inputs.transpose(0, 1),
    "permuted": lambda inputs: inputs.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "one step": lambda inputs: inputs[:1],
    "one row": lambda inputs: inputs[:, :1],
    "many rows": lambda inputs: inputs.repeat(1, 17, 1),
    "many steps": lambda inputs: inputs.repeat(9, 1, 1),
    "a NaN": _spoiled(float("nan")),
    "an infinity": _spoiled(float("inf")),
    "a negative infinity": _spoiled(float("-inf")),
    "large": lambda inputs: inputs * 1e3,
    "Unix times": lambda inputs: inputs.detach().sign() * 1.7e9 + 0 * inputs,
    "tiny": lambda inputs: inputs * 1e-40,
    "no steps": lambda inputs: inputs[:0],
    "no rows": lambda inputs: inputs[:, :0],
    "no features": lambda inputs: inputs[..., :0],
    "fewer features": lambda inputs: inputs[..., :2],
    "more features": lambda inputs: torch.cat([inputs, inputs], -1),
    "of one dimension": lambda inputs: inputs[0, 0],
    "of four dimensions": lambda inputs: inputs[None],
    "a number": lambda inputs: inputs.sum(),
    "int64": lambda inputs: inputs.detach().long(),
    "bool": lambda inputs: inputs.detach() > 0,
    "float64": lambda inputs: inputs.double(),
    "float16": lambda inputs: inputs.half(),
    "bfloat16": lambda inputs: inputs.bfloat16(),
    "complex": lambda inputs: inputs.to(torch.complex64),
    "conjugated": lambda inputs: torch.complex(inputs.float(), inputs.float()).conj().imag,
    "negated view": lambda inputs: torch._neg_view(inputs),
    "sparse": lambda inputs: inputs.to_sparse(),
    "meta": lambda inputs: inputs.to("meta"),
    "nested": lambda inputs: torch.nested.as_nested_tensor(list(inputs)),
    "numpy": lambda inputs: inputs.detach().cpu().numpy(),
    "a list": lambda inputs: inputs.tolist(),
    "None": lambda _: None,
    "a tuple": lambda inputs: (inputs, inputs),
    "a subclass": lambda inputs: inputs.as_subclass(torch.nn.Buffer),
    "a parameter": lambda inputs: torch.nn.Parameter(inputs.detach().clone()),
    "quantized": lambda inputs: torch.quantize_per_tensor(inputs.detach(), 0.1, 0, torch.qint8),
}
USES.update({f"inputs: {name}": _reads(make) for name, make in _INPUTS.items()})


def _starts(make: Callable[..., Any]) -> Use:
    """Returns a use that calls the layer from a modified valid state, passed as its parts."""

    def function(module: Any, case: Case) -> Any:
        leaf, right = inputs_for(module, requires_grad=True), random_state(module, case)
        parts = leaves(right)
        result = module(leaf, make(*parts))
        return result, gradients(module, total(result), leaf, *parts)

    return function


def _of_parts(make: Callable[[Tensor], Any]) -> Callable[..., Any]:
    """Applies the same change to the one part or to both."""
    return lambda *parts: make(parts[0]) if len(parts) == 1 else tuple(make(part) for part in parts)


_STATES: dict[str, Callable[..., Any]] = {
    "right": _of_parts(lambda part: part),
    "expanded": _of_parts(lambda part: part[:, :1].expand(part.shape)),
    "strided": _of_parts(lambda part: torch.cat([part, part], 1)[:, ::2]),
    "not contiguous": _of_parts(lambda part: part.permute(2, 1, 0).contiguous().permute(2, 1, 0)),
    "strided units": _of_parts(lambda part: torch.cat([part, part], 2)[..., ::2]),
    "detached": _of_parts(lambda part: part.detach()),
    "zeros": _of_parts(torch.zeros_like),
    "a NaN": _of_parts(lambda part: part * torch.tensor(float("nan"), dtype=part.dtype)),
    "a list": lambda *parts: list(parts),
    "a list of one": lambda *parts: [parts[0]],
    "a tuple of one": lambda *parts: (parts[0],),
    "a pair": lambda *parts: (parts[0], parts[0]),
    "three": lambda *parts: (parts[0], parts[0], parts[0]),
    "a tensor": lambda *parts: parts[0],
    "a stacked pair": lambda *parts: torch.stack([parts[0], parts[-1]]),
    "None in a pair": lambda *parts: (parts[0], None),
    "an empty tuple": lambda *_: (),
    "a dict": lambda *parts: dict(enumerate(parts)),
    "a number": lambda *_: 0.0,
    "numpy": _of_parts(lambda part: part.detach().numpy()),
    "of two dimensions": _of_parts(lambda part: part[0]),
    "of four dimensions": _of_parts(lambda part: part[None]),
    "another batch": _of_parts(lambda part: part[:, :1]),
    "a larger batch": _of_parts(lambda part: torch.cat([part, part], 1)),
    "other layers": _of_parts(lambda part: torch.cat([part, part], 0)),
    "no layers": _of_parts(lambda part: part[:0]),
    "fewer units": _of_parts(lambda part: part[..., :-1]),
    "batch before layers": _of_parts(lambda part: part.transpose(0, 1)),
    "parts of unequal batch": lambda *parts: (parts[0], parts[-1][:, :1]) if len(parts) == 2 else parts[0],
    "parts of unequal dtype": lambda *parts: (parts[0], parts[-1].double()) if len(parts) == 2 else parts[0].double(),
    "float64": _of_parts(lambda part: part.double()),
    "bfloat16": _of_parts(lambda part: part.bfloat16()),
    "int64": _of_parts(lambda part: part.detach().long()),
    "meta": _of_parts(lambda part: part.to("meta")),
    "sparse": _of_parts(lambda part: part.detach().to_sparse()),
}
USES.update({f"state: {name}": _starts(make) for name, make in _STATES.items()})


def _called(call: Callable[[Any, Tensor], Any]) -> Use:
    return lambda module, _: call(module, inputs_for(module))


_CALLS: dict[str, Callable[[Any, Tensor], Any]] = {
    "by keyword": lambda module, inputs: module(input=inputs, hx=None),
    "an unknown keyword": lambda module, inputs: module(inputs, state=None),
    "no arguments": lambda module, _: module(),
    "three arguments": lambda module, inputs: module(inputs, None, None),
    "with huge inputs": lambda module, inputs: torch.no_grad()(module)(inputs * 1e30),
    "forward itself": lambda module, inputs: module.forward(inputs),
}
USES.update({f"called: {name}": _called(call) for name, call in _CALLS.items()})
