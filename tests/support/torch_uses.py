"""Uses of a layer by PyTorch's users: a table, ``USES``, of functions of a module and a case with comparable results.

A new row is a function with ``@use``, in ``torch_uses_of_calls.py``, ``torch_uses_of_memory.py``,
``torch_uses_of_derivatives.py`` or ``torch_uses_of_arguments.py``.
"""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torch_comparison import Case, inputs_for

Use = Callable[[Any, Case], Any]
USES: dict[str, Use] = {}


def use(function: Use) -> Use:
    """Adds a row under the function's name."""
    USES[function.__name__.strip("_").replace("_", " ")] = function
    return function


def trainable(module: Any) -> list[Tensor]:
    """Returns the parameters that require gradients."""
    return [p for p in module.parameters() if p.requires_grad]


def leaves(result: Any) -> list[Tensor]:
    """Returns the tensors in a layer's result."""
    if isinstance(result, Tensor):
        return [result]
    return [leaf for part in result for leaf in leaves(part)] if isinstance(result, tuple | list) else []


def total(result: Any) -> Tensor:
    """Returns a number to differentiate, in which all elements have different weights."""
    return sum(  # type: ignore[return-value] # there is at least one
        (part.float() * torch.linspace(-1, 2, part.numel(), dtype=torch.float32, device=part.device).view(part.shape))
        .tanh()
        .sum()
        for part in leaves(result)
    )


def gradients(module: Any, loss: Tensor, *others: Tensor, **options: Any) -> Any:
    """Returns the gradients of a loss by the trained parameters and other tensors; None if there is none."""
    return torch.autograd.grad(loss, [*trainable(module), *others], allow_unused=True, **options)


def random_state(module: Any, case: Case) -> Any:
    """Returns a state for ``inputs_for`` that is not zero and requires gradients."""
    layer, like = case.layer(), inputs_for(module)
    layers = layer.num_layers * (2 if layer.bidirectional else 1)
    shape = (layers, like.shape[0 if case.batch_first else 1], case.hidden_size)
    generator = torch.Generator().manual_seed(4)
    parts = [
        torch.randn(shape, dtype=torch.float32, generator=generator, device="cpu")
        .to(like.device, like.dtype)
        .requires_grad_()
        for _ in range(2 if case.cell == "lstm" else 1)
    ]
    return tuple(parts) if case.cell == "lstm" else parts[0]
