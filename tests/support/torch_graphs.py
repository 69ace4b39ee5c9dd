"""Graphs that PyTorch makes of a module: a table, ``GRAPHS``, of transforms."""

# mypy: disallow-untyped-calls=False

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from torch_comparison import inputs_for


def _traced(module: Any) -> Any:
    return torch.jit.trace(module, inputs_for(module))


def _traced_without_gradients(module: Any) -> Any:
    """Traces as for deployment; fine-tuning must still work."""
    with torch.no_grad():
        return torch.jit.trace(module, inputs_for(module), check_trace=False)


def _traced_saved_and_loaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.jit.save(_traced(module), file)
    file.seek(0)
    return torch.jit.load(file)


def _traced_inside(module: Any) -> Any:
    return _traced(nn.Sequential(module))


def _exported(module: Any) -> Any:
    return torch.export.export(module, (inputs_for(module),)).module()


def _exported_without_gradients(module: Any) -> Any:
    with torch.no_grad():
        return _exported(module)


def _exported_saved_and_loaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, (inputs_for(module),)), file)
    file.seek(0)
    return torch.export.load(file).module()


def _exported_with_any_steps(module: Any) -> Any:
    steps = torch.export.Dim("steps", min=2, max=64)
    return torch.export.export(module, (inputs_for(module),), dynamic_shapes=({0: steps},)).module()


def _symbolic(module: Any) -> Any:
    return torch.fx.symbolic_trace(nn.Sequential(module))


def _quantized(module: Any) -> Any:
    kinds = {nn.LSTM, nn.GRU, nn.Linear}
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(module), kinds, dtype=torch.qint8)


def _quantized_to_halves(module: Any) -> Any:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(module), {nn.LSTM, nn.GRU}, dtype=torch.float16)


def _frozen_script(module: Any) -> Any:
    return torch.jit.freeze(torch.jit.script(module.eval()))


GRAPHS: dict[str, Callable[[Any], Any]] = {
    "jit.trace": _traced,
    "jit.trace, no_grad": _traced_without_gradients,
    "jit.trace, saved and loaded": _traced_saved_and_loaded,
    "jit.trace of a Sequential": _traced_inside,
    "jit.script": torch.jit.script,
    "jit.script of a Sequential": lambda module: torch.jit.script(nn.Sequential(module)),
    "jit.freeze": _frozen_script,
    "fx": _symbolic,
    "quantize_dynamic": _quantized,
    "quantize_dynamic, float16": _quantized_to_halves,
}

SLOW_GRAPHS: dict[str, Callable[[Any], Any]] = {
    "export": _exported,
    "export, no_grad": _exported_without_gradients,
    "export, saved and loaded": _exported_saved_and_loaded,
    "export, any steps": _exported_with_any_steps,
    "compile": lambda module: torch.compile(module, backend="aot_eager"),
    "compile, eager": lambda module: torch.compile(module, backend="eager"),
}
"""Graphs that take tenths of a second or more."""
