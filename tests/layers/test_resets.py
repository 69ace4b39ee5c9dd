"""Resets: each sequence within a row as if it were alone, forward and backward, on every path."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

import charloom
from charloom import layers
from charloom.recurrence.threads import use_threads
from examples import examples
from in_turn import in_turn
from native import INSTRUCTION_SETS, Switch, switching
from torch_equivalent import CELLS, torch_equivalent

_NATIVE = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _state(parts: tuple[Tensor, ...]) -> Any:
    return parts if len(parts) > 1 else parts[0]


def _random_parts(layer: Any, batch: int) -> tuple[Tensor, ...]:
    return tuple(map(torch.randn_like, _parts(layer.begin_state(batch))))


def _alone(layer: nn.RNNBase, inputs: Tensor, parts: tuple[Tensor, ...], resets: Tensor) -> list[Tensor]:
    """Returns outputs and last state, with one call of PyTorch's layer for each sequence within each row.

    Args:
        layer: Layer of ``torch.nn``, not batch first.
        inputs: (steps, batch, features).
        parts: Initial state.
        resets: (steps, batch).
    """
    directions = 2 if layer.bidirectional else 1
    backward = torch.arange(layer.num_layers * directions).remainder(directions).bool().view(-1, 1, 1)
    rows, last_rows = [], []
    for b in range(inputs.shape[1]):
        first = tuple(part[:, b : b + 1] for part in parts)
        zeros = tuple(map(torch.zeros_like, first))
        starts = [t for t in range(1, len(inputs)) if resets[t, b]]
        ends = [*starts, len(inputs)]
        outputs, lasts = [], []
        for start, end in zip([0, *starts], ends, strict=True):
            # The forward direction starts from the given state in the row's first sequence, the backward direction in
            # its last.
            at_start = zeros if start or resets[0, b] else first
            at_end = first if end == len(inputs) else zeros
            state = tuple(torch.where(backward, e, s) for s, e in zip(at_start, at_end, strict=True))
            y, last = layer(inputs[start:end, b : b + 1], _state(state))
            outputs.append(y)
            lasts.append(_parts(last))
        rows.append(torch.cat(outputs))
        last_rows.append([torch.where(backward, s, e) for s, e in zip(lasts[0], lasts[-1], strict=True)])
    return [torch.cat(rows, 1), *(torch.cat(column, 1) for column in zip(*last_rows, strict=True))]


def _with_gradients(results: list[Tensor], sources: list[Tensor]) -> list[Tensor]:
    total: Any = sum((t * torch.linspace(-1, 2, t.numel(), dtype=t.dtype).view(t.shape)).sum() for t in results)
    return [*results, *torch.autograd.grad(total, sources)]


def _call(layer: Any, inputs: Tensor, parts: tuple[Tensor, ...], resets: Tensor) -> list[Tensor]:
    """Calls a layer of charloom, batch first or not, with tensors (steps, batch, ...)."""
    first = layer.batch_first
    outputs, last = layer(
        inputs.transpose(0, 1) if first else inputs, _state(parts), resets=resets.t() if first else resets
    )
    return [outputs.transpose(0, 1) if first else outputs, *_parts(last)]


@settings(max_examples=examples(20))
@given(data=st.data())
def test_equal_to_each_sequence_alone(data: st.DataObject) -> None:
    torch_class, our_class, options = data.draw(st.sampled_from(CELLS))
    options = options | {name: data.draw(st.booleans()) for name in ("bias", "bidirectional")}
    options["num_layers"] = data.draw(st.integers(1, 3))
    size = st.sampled_from([1, 5, 31, 32, 33, 70])
    input_size, hidden_size = data.draw(size), data.draw(size)
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    ours = our_class(input_size, hidden_size, batch_first=data.draw(st.booleans()), **options)
    exact = torch_class(input_size, hidden_size, dtype=torch.float64, **options)
    exact.load_state_dict(ours.state_dict())
    steps, batch = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 40))
    resets = torch.rand(steps, batch) < data.draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    inputs, parts = torch.randn(steps, batch, input_size), _random_parts(ours, batch)

    def with_gradients(run: Any, layer: Any, dtype: torch.dtype) -> list[Tensor]:
        x = inputs.to(dtype).requires_grad_()
        first = tuple(part.to(dtype, copy=True).requires_grad_() for part in parts)
        return _with_gradients(run(layer, x, first, resets), [x, *first, *layer.parameters()])

    expected = with_gradients(_alone, exact, torch.float64)
    with switching() as compute_by, use_threads(data.draw(st.integers(1, 3))):
        compute_by(data.draw(st.sampled_from(["reference", "pytorch", *INSTRUCTION_SETS])))
        found = with_gradients(_call, ours, torch.float32)
        with torch.no_grad():
            inferred = _call(ours, inputs, parts, resets)
            frozen = _call(charloom.freeze(ours), inputs, parts, resets)
    for number, (ours_, exact_) in enumerate(zip(found, expected, strict=True)):
        scale = max(1.0, float(exact_.detach().abs().max()))
        if options.get("nonlinearity") == "relu" and number >= len(inferred):
            # If rounding moves a sum across zero, relu's slope jumps, for PyTorch too in one of 1,000 such examples.
            assert (ours_ - exact_).norm() <= 0.02 * exact_.norm() + 1e-5
        else:
            torch.testing.assert_close(ours_.double() / scale, exact_ / scale, rtol=1e-4, atol=1e-5)
    for kept, plain, trained in zip(frozen, inferred, found, strict=False):
        assert torch.equal(kept, plain)
        torch.testing.assert_close(plain, trained)


@_NATIVE
@pytest.mark.parametrize(
    ("cell", "precision", "kernels"),
    in_turn(itertools.product(range(len(CELLS)), ("float32", "bfloat16")), INSTRUCTION_SETS, 2),
)
def test_a_sequence_has_the_bits_that_it_has_alone(cell: int, precision: Any, kernels: str, compute_by: Switch) -> None:
    """With gradients or without; a streamed reset too."""
    _, our_class, options = CELLS[cell]
    compute_by(kernels)
    layer = our_class(9, 40, 2, **options)
    layer.precision = precision
    inputs, parts = torch.randn(20, 30, 9), _random_parts(layer, 30)
    resets = torch.rand(20, 30) < 0.2
    expected = _alone(layer, inputs, parts, resets)
    streamed, running = [], parts
    for with_gradients in (True, False):
        with torch.set_grad_enabled(with_gradients):
            assert all(map(torch.equal, _call(layer, inputs, parts, resets), expected))
    with torch.no_grad():
        for t in range(20):
            outputs, *rest = _call(layer, inputs[t : t + 1], running, resets[t : t + 1])
            streamed.append(outputs)
            running = tuple(rest)
    assert all(map(torch.equal, [torch.cat(streamed), *running], expected))


@_NATIVE
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_gradients_in_bfloat16_are_those_of_each_sequence_alone(cell: int) -> None:
    _, our_class, options = CELLS[cell]
    layer = our_class(9, 64, bidirectional=True, **options)
    layer.precision = "bfloat16"
    inputs = torch.randn(20, 40, 9, requires_grad=True)
    parts = tuple(part.requires_grad_() for part in _random_parts(layer, 40))
    resets, sources = torch.rand(20, 40) < 0.2, [inputs, *parts, *layer.parameters()]
    found = _with_gradients(_call(layer, inputs, parts, resets), sources)
    expected = _with_gradients(_alone(layer, inputs, parts, resets), sources)
    for ours, alone in zip(found, expected, strict=True):
        assert (ours - alone).norm() <= 2e-2 * alone.norm()


@pytest.mark.parametrize("path", ["auto", "pytorch"])
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_a_state_that_is_not_finite_ends_at_a_reset(cell: int, path: str, compute_by: Switch) -> None:
    compute_by(path)
    _, our_class, options = CELLS[cell]
    layer = our_class(3, 4, **options)
    parts = tuple(torch.full((1, 2, 4), float("nan")) for _ in _parts(layer.begin_state(2)))
    resets = torch.tensor([[False, True], [True, False]])
    for with_gradients in (True, False):
        with torch.set_grad_enabled(with_gradients):
            outputs, *last = _call(layer, torch.randn(2, 2, 3), parts, resets)
            assert outputs[0, 0].isnan().all()
            assert outputs[1].isfinite().all()
            assert outputs[0, 1].isfinite().all()
            assert all(part.isfinite().all() for part in last)


@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_gradients_of_gradients(cell: int) -> None:
    _, our_class, options = CELLS[cell]
    layer = our_class(3, 4, 2, bidirectional=True, **options)
    inputs, resets = torch.randn(6, 3, 3, requires_grad=True), torch.rand(6, 3) < 0.3
    parts = _random_parts(layer, 3)
    results = []
    for run in (_call, _alone):
        outputs = run(layer, inputs, parts, resets)[0]
        (first,) = torch.autograd.grad(outputs.sin().sum(), inputs, create_graph=True)
        results.append([first, *torch.autograd.grad(first.square().sum(), [inputs, *layer.parameters()])])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_mask_may_change_before_backward() -> None:
    layer, resets = layers.LSTM(3, 4), torch.rand(5, 2) < 0.5
    outputs = layer(torch.randn(5, 2, 3), resets=resets)[0].sum()
    expected = torch.autograd.grad(outputs, list(layer.parameters()), retain_graph=True)
    resets.fill_(True)
    assert all(map(torch.equal, torch.autograd.grad(outputs, list(layer.parameters())), expected))


def test_bytes_other_than_one_are_true() -> None:
    layer, inputs = layers.GRU(3, 4), torch.randn(3, 2, 3)
    odd = torch.tensor([[0, 2], [255, 0], [0, 0]], dtype=torch.uint8).view(torch.bool)
    plain = torch.tensor([[False, True], [True, False], [False, False]])
    for with_gradients in (True, False):
        with torch.set_grad_enabled(with_gradients):
            assert torch.equal(layer(inputs, resets=odd)[0], layer(inputs, resets=plain)[0])


def test_calls_that_the_kernels_do_not_cover() -> None:
    layer, resets = layers.LSTM(3, 4), torch.tensor([[False], [True], [False]])
    inputs, parts = torch.randn(3, 1, 3, dtype=torch.float64), (torch.randn(1, 1, 4, dtype=torch.float64),) * 2
    double = torch_equivalent(layer)
    expected = _alone(double, inputs, parts, resets)
    found = _call(layer.double(), inputs, parts, resets)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(layer(inputs, list(parts), resets=resets)[0], found[0])
    parametrize.register_parametrization(layer, "weight_hh_l0", nn.Tanh())
    altered = layers.LSTM(3, 4, dtype=torch.float64)
    altered.load_state_dict({name: getattr(layer, name) for name in altered.state_dict()})
    assert torch.equal(_call(layer, inputs, parts, resets)[0], _call(altered, inputs, parts, resets)[0])


def test_transforms_see_resets() -> None:
    layer, resets = layers.GRU(3, 4), torch.tensor([[False, True], [True, False]])
    inputs = torch.randn(5, 2, 2, 3)
    batched = torch.vmap(lambda x: layer(x, resets=resets)[0])(inputs)
    torch.testing.assert_close(batched, torch.stack([layer(x, resets=resets)[0] for x in inputs]))
    slope = torch.func.grad(lambda x: layer(x, resets=resets)[0].sum())(inputs[0])
    x = inputs[0].clone().requires_grad_()
    torch.testing.assert_close(slope, torch.autograd.grad(layer(x, resets=resets)[0].sum(), x)[0])
    graph: Any = torch.fx.symbolic_trace(_Resetting(layer))
    assert torch.equal(graph(inputs[0], resets), layer(inputs[0], resets=resets)[0])


class _Resetting(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, resets: Tensor) -> Any:
        return self.layer(x, resets=resets)[0]


def test_accelerated_layers_take_resets_too() -> None:
    layer: Any = charloom.accelerate(nn.LSTM(3, 4, batch_first=True))
    resets = torch.tensor([[False, False, True]])
    inputs = torch.randn(1, 3, 3)
    outputs, _ = layer(inputs, resets=resets)
    torch.testing.assert_close(outputs[:, 2:], layer(inputs[:, 2:])[0])


@_NATIVE
@pytest.mark.parametrize("cell", range(len(CELLS)))
@torch.no_grad()
def test_a_value_that_is_not_finite_ends_at_a_reset_in_int8(cell: int) -> None:
    _, our_class, options = CELLS[cell]
    layer = our_class(3, 5, bidirectional=True, **options)
    layer.precision = "int8"
    inputs, resets = torch.randn(6, 2, 3), torch.zeros(6, 2, dtype=torch.bool)
    inputs[1, 0, 1], resets[3, 0] = float("nan"), True
    outputs = layer(inputs, resets=resets)[0]
    assert outputs[3:].isfinite().all()
    assert outputs[:, 1].isfinite().all()


@torch.no_grad()
def test_a_square_mask_in_a_parameter_is_transposed() -> None:
    layer, inputs, resets = layers.LSTM(3, 5, batch_first=True), torch.randn(4, 4, 3), torch.rand(4, 4) < 0.4
    as_parameter = nn.Parameter(resets, requires_grad=False)
    assert torch.equal(layer(inputs, resets=as_parameter)[0], layer(inputs, resets=resets)[0])


class _Mask(torch.Tensor):
    """A subclass of Tensor, which may be anything."""


@pytest.mark.parametrize("with_gradients", [True, False])
def test_a_mask_of_a_subclass_gives_the_same_result(with_gradients: bool) -> None:
    layer, inputs, resets = layers.LSTM(3, 5), torch.randn(4, 2, 3), torch.rand(4, 2) < 0.4
    with torch.set_grad_enabled(with_gradients):
        found, _ = layer(inputs, resets=resets.as_subclass(_Mask))
        torch.testing.assert_close(found, layer(inputs, resets=resets)[0])


@pytest.mark.parametrize("with_gradients", [True, False])
def test_a_mask_or_a_strided_input_without_memory_is_refused(with_gradients: bool) -> None:
    layer, inputs = layers.GRU(3, 5), torch.randn(600, 20, 3)
    resets, strided = torch.zeros(600, 20, dtype=torch.bool), torch.randn(20, 600, 3).transpose(0, 1)
    with torch.set_grad_enabled(with_gradients):
        for size in (5, 0):
            resets.untyped_storage().resize_(size)
            strided.untyped_storage().resize_(size)
            with pytest.raises(RuntimeError, match="freed or shrunk"):
                layer(inputs, resets=resets)
            with pytest.raises(RuntimeError, match="freed or shrunk"):
                layer(strided)
