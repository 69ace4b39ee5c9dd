"""Rows of the tables that PyTorch computes; all others are computed by the kernels, or refused."""

# mypy: disallow-untyped-calls=False

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from charloom.layers import recurrent_layer
from charloom.recurrence import inference, kernel_calls
from native import INSTRUCTION_SETS
from torch_comparison import Case, Refusal, Transform, check, outcome
from torch_transforms import TRANSFORMS
from torch_use_table import USES

_USES = {
    "introspection",
    "packed",
    "packed unsorted",
    "unbatched",
    *(name for name in USES if name.startswith("saved tensors")),
    "vmap of gradients",
    "forward ad",
    *(name for name in USES if name.startswith("func ")),
    *(f"inputs: {name}" for name in ("no steps", "no rows", "conjugated", "negated view", "nested", "a subclass")),
    *(f"state: {name}" for name in ("a list", "sparse")),
}
_TRANSFORMS = {"restore", *(name for name in TRANSFORMS if name.startswith(("parametriz", "to ")))}
_TRANSFORMS -= {"parametrize, removed", "to float64 and back"}
_WITHOUT_BACKWARD = {
    "forward",
    "no grad",
    "inference mode",
    "numpy",
    "view of outputs",
    "jacobian vectorized",  # by the equations
    "no gradient given",
    "gradient of a subclass",
    *(name for name in USES if name.startswith("called: ")),
}


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Counts the calls of the kernels."""
    counts: Counter[str] = Counter()

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            result = call(*arguments)
            counts[name] += result is not None  # None: a call that ``infer`` does not cover
            return result

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("layer_forward", "layer_backward"):
            patch.setattr(kernel_calls, name, counting(name, getattr(kernel_calls, name)))
        patch.setattr(recurrent_layer, "infer", counting("layer_forward", inference.infer))
        yield counts


def check_row(case: Case, use: str, transform: str = "as it is", *, last: bool = False) -> None:
    """Does ``torch_comparison.check``, and asserts that the kernels computed the rows that they should."""
    seen: list[tuple[Any, Counter[str]]] = []

    def counted(module: Any, case: Case) -> Any:
        with _counted() as counts:
            result = outcome(USES[use], module, case)
        seen.append((result, counts))
        return result

    transforms: list[Transform] = [] if transform == "as it is" else [TRANSFORMS[transform]]
    check(case, transforms, counted, last=last)
    if not INSTRUCTION_SETS or not seen or use in _USES or transform in _TRANSFORMS:
        return
    result, counts = seen[0]  # of the accelerated layer
    if not isinstance(result, Refusal):
        assert counts["layer_forward"]
        assert counts["layer_backward"] or use in _WITHOUT_BACKWARD or "frozen" in transform
