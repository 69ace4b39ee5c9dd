"""Comparison of a layer of ``torch.nn`` with charloom's: equal results, or both are refused alike."""

# mypy: disallow-untyped-calls=False

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor

import charloom

INPUT_SIZE = 3
CELLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (nn.RNN, {}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
}
HIDDEN_SIZES = (4, 32, 40, 64)
"""Multiples of 32, to which the kernels pad, and other sizes."""

OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "deep": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "batch_first": {"batch_first": True},
    "no_bias": {"bias": False},
    "dropout": {"num_layers": 2, "dropout": 0.5},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}

Transform = Callable[[Any], Any]
"""A function from a layer, or a module around one, to the transformed module."""


@dataclass(frozen=True)
class Case:
    """A layer to compare.

    Attributes:
        cell: A key of ``CELLS``.
        hidden_size: Number of hidden units.
        options: A key of ``OPTIONS``.
    """

    cell: str = "lstm"
    hidden_size: int = 4
    options: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.cell, str(self.hidden_size), self.options)))

    @property
    def batch_first(self) -> bool:
        """True if inputs are (batch, steps, features)."""
        return "batch_first" in OPTIONS[self.options]

    def layer(self) -> Any:
        """Returns a new ``torch.nn`` layer, each time with the same weights."""
        torch.manual_seed(0)
        kind, options = CELLS[self.cell]
        # Dropout uses PyTorch's generator or the kernels', so it is compared only if there is none.
        return kind(INPUT_SIZE, self.hidden_size, **options, **OPTIONS[self.options]).train(self.options != "dropout")


ALL_CASES = [Case(cell, size, options) for cell in CELLS for size in HIDDEN_SIZES for options in OPTIONS]


def case_for(*names: str, among: list[Case] = ALL_CASES) -> Case:
    """Returns a case chosen by names: always the same one for the same names."""
    return among[zlib.crc32("|".join(names).encode()) % len(among)]


@dataclass
class Refusal:
    """An exception that was raised."""

    kind: type[BaseException]
    message: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.kind.__name__}: {self.message.strip()[:200]}"


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns a function's result, or its ``Refusal``."""
    try:
        return function(*arguments)
    except Exception as error:
        return Refusal(type(error), str(error))


def layers_in(module: Any) -> list[Any]:
    """Returns the recurrent layers within a module."""
    return [m for m in module.modules() if isinstance(m, nn.RNNBase)]


def layer_in(module: Any) -> Any:
    """Returns the recurrent layer within a module."""
    return layers_in(module)[0]


def run(
    case: Case,
    transforms: list[Transform],
    use: Callable[[Any, Case], Any],
    *,
    accelerated: bool,
    accelerated_last: bool = False,
    setting: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Any:
    """Returns the result of a use of a layer with transforms applied, and of a call after it (no state may remain)."""

    def made() -> Any:
        module = case.layer()
        if accelerated and not accelerated_last:
            charloom.accelerate(module)
        torch.manual_seed(1)
        for transform in transforms:
            module = transform(module)
        if accelerated and accelerated_last:
            charloom.accelerate(module)
        return module

    module = outcome(made)
    if isinstance(module, Refusal):
        return module
    torch.manual_seed(2)
    with setting():
        return {"use": outcome(use, module, case), "a call after it": outcome(_call, module)}


def _call(module: Any) -> Any:
    return module(inputs_for(module))


def inputs_for(module: Any, steps: int = 5, batch: int = 2, **options: Any) -> Tensor:
    """Returns random inputs (steps, batch, features) in the dtype and on the device of a module's parameters."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0, dtype=torch.float32))
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(steps, batch, INPUT_SIZE, dtype=torch.float32, generator=generator, device="cpu")
    return inputs.to(like.device, like.dtype).requires_grad_(options.get("requires_grad", False))


def check(
    case: Case,
    transforms: list[Transform],
    use: Callable[[Any, Case], Any],
    *,
    last: bool = False,
    one_dnn: bool = True,
    **options: Any,
) -> None:
    """Asserts that charloom's layer gives the results of ``torch.nn``'s.

    PyTorch computes an LSTM by oneDNN or by itself, depending on the processor, and these refuse different things:
    either is accepted. If their numbers differ too, rounding decides, and there is nothing to compare with.

    Args:
        case: The layer.
        transforms: Names of transforms, applied in order.
        use: Name of the use of the layer.
        last: True if it is accelerated after the transforms.
        one_dnn: True if PyTorch may compute the expected result by oneDNN.
        options: Options of ``run``.
    """
    found = run(case, transforms, use, accelerated=True, accelerated_last=last, **options)
    ways: list[Any] = []
    for enabled in [True, False] if case.cell == "lstm" and one_dnn else [one_dnn]:
        with torch.backends.mkldnn.flags(enabled=enabled):
            ways.append(run(case, transforms, use, accelerated=False, **options))
        differences = list(differing(found, ways[-1]))
        if not differences:
            return
    if not any(isinstance(way, Refusal) for way in (found, *ways)) and list(differing(ways[0], ways[-1])):
        return
    raise AssertionError("\n".join([f"differs from torch.nn in {len(differences)} places", *differences[:12]]))


def differing(found: Any, expected: Any, place: str = "result") -> Iterator[str]:
    """Yields descriptions of differences: structure, type, shape, dtype, memory layout of outputs, or values."""
    if isinstance(expected, Refusal) or isinstance(found, Refusal):
        both = isinstance(expected, Refusal) and isinstance(found, Refusal)
        if not (both and issubclass(found.kind, expected.kind)):
            yield f"{place}: {_in_short(found)} but torch.nn gives {_in_short(expected)}"
    elif isinstance(expected, Tensor) and isinstance(found, Tensor):
        yield from _differing_tensors(found, expected, place)
    elif isinstance(expected, Mapping) and isinstance(found, Mapping) and list(expected) == list(found):
        for key in expected:
            yield from differing(found[key], expected[key], f"{place}[{key!r}]")
    elif isinstance(expected, tuple | list) and type(found) is type(expected) and len(found) == len(expected):
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            yield from differing(a, b, f"{place}[{i}]")
    elif isinstance(expected, float) and isinstance(found, float):
        both_nan = math.isnan(found) and math.isnan(expected)
        if not (both_nan or math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5)):
            yield f"{place}: {found} but torch.nn gives {expected}"
    elif type(found) is not type(expected) or found != expected:
        yield f"{place}: {_in_short(found)} but torch.nn gives {_in_short(expected)}"


def _in_short(result: Any) -> str:
    if isinstance(result, Tensor):
        return f"a tensor {tuple(result.shape)} of {result.dtype}"
    return "a result" if isinstance(result, tuple | list | dict) else f"{result!s:.200}"


_LAYOUT = ("shape", "dtype", "layout", "device", "requires_grad", "is_leaf")


def _differing_tensors(found: Tensor, expected: Tensor, place: str) -> Iterator[str]:
    for name in _LAYOUT:
        if getattr(found, name) != getattr(expected, name):
            yield f"{place}.{name}: {getattr(found, name)} but torch.nn gives {getattr(expected, name)}"
            if name in ("shape", "dtype", "layout"):
                return
    if found.is_meta or isinstance(expected, FakeTensor):
        return
    if expected.is_sparse:
        found, expected = found.to_dense(), expected.to_dense()
    found, expected = found.detach().to_dense(), expected.detach().to_dense()
    if found.is_floating_point():
        # An infinity times a slope that is or is not rounded to zero: infinite or NaN, and neither is a number.
        both = ~expected.isfinite() & ~found.isfinite() & (expected.isnan() | found.isnan())
        found, expected = found.masked_fill(both, 0.0), expected.masked_fill(both, 0.0)
    try:
        torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-3, atol=_tolerance(expected))
    except AssertionError as error:
        lines = [line for line in str(error).splitlines() if "difference" in line or "elements" in line]
        yield f"{place}: {' '.join(lines) or error}"


def _tolerance(expected: Tensor) -> float:
    """Returns the tolerance: sums in another order differ by the last digits of the largest element."""
    if expected.numel() == 0 or not expected.is_floating_point():
        return 0.0
    finite = expected.detach().double().nan_to_num(0.0, 0.0, 0.0)
    few_digits = expected.dtype in (torch.bfloat16, torch.float16)
    return (2e-2 if few_digits else 2e-4) * max(0.1, float(finite.abs().max()))


def layout(tensor: Tensor) -> dict[str, Any]:
    """Returns a tensor's memory layout; strides of dimensions of one element have no meaning."""
    strides = [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]
    return {"contiguous": tensor.is_contiguous(), "strides": strides, "offset": tensor.storage_offset()}
