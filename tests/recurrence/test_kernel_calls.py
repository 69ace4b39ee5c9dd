"""Each tensor is compared with the kernels' expectation before its address is taken."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from charloom import InputError, SamplingSettings
from charloom.recurrence import kernel_calls
from charloom.recurrence.backend import kernels_named
from charloom.recurrence.kernel_arguments import LayerShape, ModelShape
from charloom.recurrence.kernel_calls import LayerCall, Step
from charloom.recurrence.native_generator import NativeGenerator
from charloom_codec.cells import CELL_NAMED
from native import INSTRUCTION_SETS
from torch_wrong_weights import with_memory

pytestmark = [
    pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels"),
    pytest.mark.usefixtures("unchecked"),
]
_WRONG: dict[str, Callable[[Tensor], Any]] = {
    "longer": lambda t: torch.cat([t, t]),
    "another dimension": lambda t: t.unsqueeze(0),
    "another dtype": lambda t: t.to(torch.bfloat16),
    "strided": lambda t: torch.stack([t, t], -1)[..., 0],
    "on meta": lambda t: t.to("meta"),
    "sparse": lambda t: t.to_sparse(),
    "negative by a bit": torch._neg_view,
    "nested": lambda t: torch.nested.nested_tensor([t, t]),
    "zero without memory": lambda t: torch._efficientzerotensor(t.shape),
    "freed": lambda t: with_memory(t, 0),
    "shrunk": lambda t: with_memory(t, 4 * t.numel() - 4),
    "no tensor": lambda t: t.tolist(),
}

_LAYER = LayerShape(CELL_NAMED["lstm"].number, 0, steps=3, batch=2, inputs=5, hidden=7)
_MODEL = ModelShape(CELL_NAMED["lstm"].number, hidden=7, layers=2, vocabulary=11, embedding_size=5)


def _kernels() -> Any:
    return kernels_named(INSTRUCTION_SETS[-1])


def _zeros(*shapes: tuple[int, ...]) -> list[Any]:
    return [torch.zeros(shape) for shape in shapes]


def _layer_call(tensors: list[Any]) -> LayerCall:
    weights, (x, h, c) = tensors[:4], tensors[4:7]
    return LayerCall(_kernels(), _LAYER, False, x, h, c, weights)


def _forward(tensors: list[Any]) -> None:
    kernel_calls.layer_forward(_layer_call(tensors), True)


def _backward(tensors: list[Any]) -> None:
    reserve = torch.zeros(_LAYER.reserve, dtype=torch.uint8)
    dy, dh, dc = tensors[7:]
    kernel_calls.layer_backward(_layer_call(tensors), reserve, (dy, dh, dc), needs_dx=True)


def _step(tensors: list[Any]) -> None:
    ids = torch.zeros(2, 3, dtype=torch.int64)
    _step_with(ids, ids, tensors)


def _step_with(ids: Tensor, targets: Tensor, tensors: list[Any]) -> None:
    state: Any = tensors[-2:]
    kernel_calls.language_model_step(Step(_kernels(), _MODEL, 0, ids, targets, state, 0.0, 0.0), tensors[:-2])


def _generate(tensors: list[Any]) -> None:
    generator = NativeGenerator(_kernels(), _MODEL, False, tensors[:-3])
    state: Any = tensors[-2:]
    draws = torch.zeros(2, 4, dtype=torch.float64)
    generator.run(tensors[-3], state, SamplingSettings(), None, draws)


def _descend(tensors: list[Any]) -> None:
    kernel_calls.descend(_kernels(), tensors[:2], tensors[2:], 1.0, 0.1)


_STATE, _SEQUENCE, _INPUT = (2, 7), (3, 2, 7), (3, 2, 5)
_CALLS: dict[str, tuple[Callable[[list[Any]], None], list[tuple[int, ...]]]] = {
    "layer_forward": (_forward, [*_LAYER.weights, _INPUT, _STATE, _STATE]),
    "layer_backward": (_backward, [*_LAYER.weights, _INPUT, _STATE, _STATE, _SEQUENCE, _STATE, _STATE]),
    "language_model_step": (_step, [*_MODEL.parameters, (2, 2, 7), (2, 2, 7)]),
    "generate": (_generate, [*_MODEL.parameters, (2, 11), (2, 2, 7), (2, 2, 7)]),
    "descend": (_descend, [(3, 4), (5,), (3, 4), (5,)]),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", _CALLS)
def test_a_call_refuses_each_tensor_that_does_not_fit(name: str) -> None:
    call, shapes = _CALLS[name]
    call(_zeros(*shapes))
    for place in range(len(shapes)):
        for kind, spoil in _WRONG.items():
            if name == "descend" and place < 2 and kind in ("longer", "another dimension"):
                continue  # gradients may have any shape; here the values do not fit them
            tensors = _zeros(*shapes)
            tensors[place] = spoil(tensors[place])
            with pytest.raises(InputError):
                call(tensors)


def test_only_biases_and_the_embedding_may_be_missing() -> None:
    for place in range(len(_MODEL.parameters)):
        tensors = _zeros(*_CALLS["generate"][1])
        tensors[place] = None
        if place in (3, 4, 7, 8):
            _generate(tensors)
        else:
            with pytest.raises(InputError):
                _generate(tensors)


def test_ids_outside_the_vocabulary() -> None:
    for wrong in (-1, 11, 2**40):
        for position in range(2):
            ids, targets = (torch.zeros(2, 3, dtype=torch.int64) for _ in range(2))
            (ids, targets)[position][1, 2] = wrong
            tensors = _zeros(*_CALLS["language_model_step"][1])
            with pytest.raises(InputError, match=f"id {wrong} is not in the vocabulary of 11 tokens"):
                _step_with(ids, targets, tensors)
