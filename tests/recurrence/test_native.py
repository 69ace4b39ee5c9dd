"""The kernels of every instruction set against PyTorch's layers: outputs, states and every gradient."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from charloom import layers
from charloom.recurrence.native import fill_places
from charloom.recurrence.threads import use_threads
from charloom_codec.cells import CELL_OF_MODE
from examples import examples
from native import INSTRUCTION_SETS, Switch, switching
from torch_equivalent import CELLS

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _results(layer: nn.Module, inputs: Tensor, state: Any, weights: Tensor) -> list[Tensor]:
    """Returns outputs, last state, and the gradients of inputs, initial state and parameters."""
    inputs = inputs.detach().clone().requires_grad_()
    states = () if state is None else state if isinstance(state, tuple) else (state,)
    states = tuple(part.detach().to(inputs.dtype).requires_grad_() for part in states)
    outputs, last = layer(inputs, None if state is None else states if isinstance(state, tuple) else states[0])
    lasts = last if isinstance(last, tuple) else (last,)
    # Unequal weights that are not contiguous, so that no gradient can be mistaken for another.
    total = (outputs * weights.to(outputs.dtype)[: outputs.numel()].view(outputs.shape[::-1]).permute(2, 1, 0)).sum()
    for part in lasts:
        total = total + (part * torch.linspace(-1, 2, part.numel(), dtype=part.dtype).view(part.shape)).sum()
    return [outputs, *lasts, *torch.autograd.grad(total, [inputs, *states, *layer.parameters()])]


def _error(found: Tensor, exact: Tensor) -> float:
    """Returns the relative error, in norm."""
    return float((found.detach().double() - exact.detach()).norm() / (exact.detach().norm() + 1e-12))


@settings(max_examples=examples(50))
@given(data=st.data())
def test_as_exact_as_pytorch(data: st.DataObject) -> None:
    """Within 1e-5 of the exact result, or about as near as PyTorch if a saturated tanh leaves few digits."""
    torch_class, our_class, options = data.draw(st.sampled_from(CELLS))
    size = st.sampled_from([1, 2, 3, 5, 7, 8, 16, 31, 32, 33, 64, 65])
    input_size, hidden_size = data.draw(size), data.draw(size)
    batch_first = data.draw(st.booleans())
    options = options | {
        "num_layers": data.draw(st.integers(1, 3)),
        "bias": data.draw(st.booleans()),
        "bidirectional": data.draw(st.booleans()),
        "batch_first": batch_first,
    }
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    theirs = torch_class(input_size, hidden_size, **options)
    ours = our_class(input_size, hidden_size, **options)
    ours.load_state_dict(theirs.state_dict())
    exact = torch_class(input_size, hidden_size, dtype=torch.float64, **options)
    exact.load_state_dict(theirs.state_dict())
    steps, batch = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 14))
    inputs = torch.randn(input_size, batch, steps).permute((1, 2, 0) if batch_first else (2, 1, 0))
    state: Any = None
    if data.draw(st.booleans()):
        zeros = ours.begin_state(batch)
        state = tuple(torch.randn_like(z) for z in zeros) if isinstance(zeros, tuple) else torch.randn_like(zeros)
    weights = torch.randn(steps * batch * hidden_size * 2)
    reference = _results(exact, inputs.double(), state, weights)
    pytorchs = _results(theirs, inputs, state, weights)
    with switching() as compute_by:
        compute_by(data.draw(st.sampled_from(INSTRUCTION_SETS)))
        found = _results(ours, inputs, state, weights)
        ours.precision = "bfloat16"
        rounded = _results(ours, inputs, state, weights)
    assert len(found) == len(reference) == len(rounded)
    assert hidden_size < 8 or any(not torch.equal(a, b) for a, b in zip(found, rounded, strict=True))
    for ours_, theirs_, rounded_, exact_ in zip(found, pytorchs, rounded, reference, strict=True):
        assert ours_.shape == exact_.shape
        # Gradients are sums over steps and sequences, whose terms may cancel.
        rounding = 1e-6 * (steps * batch * exact_.numel()) ** 0.5 / (float(exact_.detach().norm()) + 1e-12)
        assert _error(ours_, exact_) <= max(1e-5, 10 * _error(theirs_, exact_), rounding)
        assert torch.isfinite(rounded_).all()


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_bfloat16_is_within_two_percent(cell: int, kernels: str, compute_by: Switch) -> None:
    torch_class, our_class, options = CELLS[cell]
    compute_by(kernels)
    for input_size, hidden_size, num_layers, batch in ((44, 64, 1, 32), (17, 100, 2, 5)):
        torch.manual_seed(cell)
        theirs = torch_class(input_size, hidden_size, num_layers, **options)
        ours = our_class(input_size, hidden_size, num_layers, **options)
        ours.load_state_dict(theirs.state_dict())
        ours.precision = "bfloat16"
        inputs, weights = torch.randn(12, batch, input_size), torch.randn(12 * batch * hidden_size)
        pairs = zip(_results(ours, inputs, None, weights), _results(theirs, inputs, None, weights), strict=True)
        for found, expected in pairs:
            # If rounding moves a sum across zero, relu's slope jumps: no 8-bit mantissa is nearer there.
            assert _error(found, expected.double()) < (0.06 if options.get("nonlinearity") == "relu" else 0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_threads_change_no_bit(cell: int, precision: Any) -> None:
    _, our_class, options = CELLS[cell]
    layer = our_class(40, 70, 2, bidirectional=True, **options)
    layer.precision = precision
    inputs, weights = torch.randn(20, 37, 40), torch.randn(20 * 37 * 140)
    results = []
    for number in (1, 2, 3):
        with use_threads(number):
            results.append(_results(layer, inputs, None, weights))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_gradients_are_computed_only_if_required() -> None:
    layer = layers.LSTM(3, 4)
    layer.weight_hh_l0.requires_grad_(False)
    inputs = torch.randn(5, 2, 3)
    layer(inputs)[0].sum().backward()
    assert layer.weight_hh_l0.grad is None
    assert layer.weight_ih_l0.grad is not None
    with torch.no_grad():
        assert not layer(inputs)[0].requires_grad
    assert not layer.requires_grad_(False)(inputs)[0].requires_grad


def test_vanishing_gradients_become_zero_and_the_processor_flags_are_restored() -> None:
    layer = layers.RNN(4, 8)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1e-5)
    inputs = torch.randn(60, 3, 4, requires_grad=True)
    outputs, _ = layer(inputs)
    (gradient,) = torch.autograd.grad(outputs[-1].sum(), inputs)
    assert gradient[-1].any()
    assert not gradient[0].any()
    denormal = torch.full((3,), 1e-38) * 0.01
    assert denormal.any(), "denormals are flushed after the call"


def test_values_fill_the_places_that_are_not_none() -> None:
    a, b = torch.zeros(1), torch.ones(1)
    assert fill_places([b, None, a, None], iter([a, b])) == [a, None, b, None]


@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_the_shape_function_gives_the_shapes_of_the_results(cell: int) -> None:
    """``torch.compile`` calls it on tensors without memory."""
    _, our_class, options = CELLS[cell]
    layer = our_class(3, 4, **options)
    mode = CELL_OF_MODE[layer.mode]
    weights = [p.detach() for p in layer.parameters()]
    state = [torch.randn(2, 4) for _ in range(mode.state_parts)] + [None] * (2 - mode.state_parts)
    tensors = [torch.randn(5, 2, 3), *state, *weights, None, None]  # without batch sizes and resets
    arguments = mode.number, 0, False, INSTRUCTION_SETS[-1], False
    found = torch.ops.charloom.recurrence(*tensors, *arguments)
    with_shapes = [None if t is None else t.to("meta") for t in tensors]
    expected = torch.ops.charloom.recurrence(*with_shapes, *arguments)
    assert [(t.shape, t.dtype) for t in found] == [(t.shape, t.dtype) for t in expected]
