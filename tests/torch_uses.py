"""What PyTorch's users do with a layer: a table, ``USES``, of functions of a module and a case with comparable results.

A new row is a function with ``@use``, in ``torch_uses_of_calls.py``, ``torch_uses_of_memory.py``,
``torch_uses_of_derivatives.py`` or ``torch_uses_of_arguments.py``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torch_comparison import INPUT_SIZE, Case, inputs_for

Use = Callable[[Any, Case], Any]
USES: dict[str, Use] = {}


def use(function: Use) -> Use:
    """Adds a row, named as the function is."""
    USES[function.__name__.strip("_").replace("_", " ")] = function
    return function


def trainable(module: Any) -> list[Tensor]:
    """The parameters that are trained."""
    return [p for p in module.parameters() if p.requires_grad]


def leaves(result: Any) -> list[Tensor]:
    """The tensors in a layer's result."""
    if isinstance(result, Tensor):
        return [result]
    return [leaf for part in result for leaf in leaves(part)] if isinstance(result, tuple | list) else []


def total(result: Any) -> Tensor:
    """A number to differentiate, in which no two elements count the same."""
    return sum(  # type: ignore[return-value] # there is at least one
        (part.float() * torch.linspace(-1, 2, part.numel(), dtype=torch.float32, device=part.device).view(part.shape))
        .sin()
        .sum()
        for part in leaves(result)
    )


def gradients(module: Any, loss: Tensor, *others: Tensor, **options: Any) -> Any:
    """Of a loss by the trained parameters and by other tensors; None where there is none."""
    return torch.autograd.grad(loss, [*trainable(module), *others], allow_unused=True, **options)


def random_state(module: Any, case: Case, batch: int = 2) -> Any:
    """A state that is not zero, which wants gradients."""
    outputs, state = torch.no_grad()(case.layer())(torch.zeros(5, 5, INPUT_SIZE, dtype=torch.float32))
    generator, like = torch.Generator().manual_seed(4), inputs_for(module)
    parts = []
    for part in state if isinstance(state, tuple) else (state,):
        random = torch.randn(len(part), batch, part.shape[-1], dtype=torch.float32, generator=generator)
        parts.append(random.to(like.device, like.dtype).requires_grad_())
    return tuple(parts) if isinstance(state, tuple) else parts[0]
