"""Calls without a backward pass in bfloat16 and int8: near float32, for rows of any magnitude, and for every call."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

import charloom
from charloom import layers
from native import INSTRUCTION_SETS, Switch
from torch_equivalent import CELLS

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _frozen_with(layer: Any, precision: Any) -> Any:
    copied = copy.deepcopy(layer)
    copied.precision = precision
    return charloom.freeze(copied)


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.01), ("int8", 0.02)])
@pytest.mark.parametrize("cell", range(len(CELLS)))
@torch.no_grad()
def test_fewer_bits_are_near_float32_over_200_steps(
    cell: int, precision: Any, tolerance: float, kernels: str, compute_by: Switch
) -> None:
    _, our_class, options = CELLS[cell]
    compute_by(kernels)
    for input_size, hidden_size, layers_ in ((40, 33, 1), (80, 256, 2)):
        torch.manual_seed(cell)
        layer = our_class(input_size, hidden_size, layers_, bidirectional=True, **options)
        inputs = torch.randn(200, 2, input_size)
        expected, _ = layer(inputs)
        found, _ = _frozen_with(layer, precision)(inputs)
        assert not torch.equal(found, expected)
        assert (found - expected).norm() < tolerance * expected.norm()
        layer.precision = precision
        assert torch.equal(layer(inputs)[0], found)  # not frozen: packed at the call


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@torch.no_grad()
def test_int8_has_a_scale_for_each_row_of_any_magnitude(kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    layer = layers.RNN(40, 40, nonlinearity="relu")
    frozen = _frozen_with(layer, "int8")
    inputs, state = torch.randn(3, 5, 40), torch.randn(1, 5, 40)
    factors = torch.tensor([1e-6, 1e-2, 1.0, 50.0, 1e6]).unsqueeze(-1)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        getattr(layer, name).zero_()
    frozen.load_state_dict(layer.state_dict())
    expected, _ = layer(inputs * factors, state * factors)
    found, _ = frozen(inputs * factors, state * factors)
    for row in range(5):
        assert (found[:, row] - expected[:, row]).norm() < 0.03 * expected[:, row].norm()
    assert not frozen(torch.zeros(2, 5, 40))[0].any()
    # Numbers whose inverse is infinite.
    assert frozen(torch.full((2, 5, 40), 1e-38))[0].abs().max() < 1e-36


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@torch.no_grad()
def test_int8_hides_no_value_that_is_not_finite(value: float, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    layer: Any = layers.LSTM(40, 40)
    layer.precision = "int8"
    inputs = torch.randn(3, 2, 40)
    inputs[1, 1, 7] = value
    outputs, _ = layer(inputs)
    assert outputs[1:, 1].isnan().all()
    assert outputs[0].isfinite().all()
    assert outputs[:, 0].isfinite().all()
    layer.weight_hh_l0[5, 3] = value
    assert layer(torch.randn(2, 1, 40))[0][1].isnan().any()


@torch.no_grad()
def test_fewer_bits_apply_to_batch_first_and_strided_inputs_and_states() -> None:
    layer = layers.LSTM(40, 40, batch_first=True)
    inputs, state = torch.randn(3, 5, 40), (torch.randn(1, 3, 40), torch.randn(1, 3, 40))
    exact = layer(inputs, state)[0]
    for precision in ("bfloat16", "int8"):
        frozen = _frozen_with(layer, precision)
        expected = torch.stack(
            [frozen(row[None], tuple(p[:, b, None] for p in state))[0][0] for b, row in enumerate(inputs)]
        )
        assert not torch.equal(expected, exact)
        assert torch.equal(frozen(inputs, state)[0], expected)
        wide = torch.stack([inputs, inputs], -1)[..., 0]
        strided = tuple(torch.stack([part, part], -1)[..., 0] for part in state)
        assert torch.equal(frozen(wide, strided)[0], expected)


@torch.no_grad()
def test_int8_applies_to_parameters_as_inputs_and_to_strided_weights() -> None:
    layer: Any = layers.GRU(6, 8, batch_first=True)
    inputs = torch.randn(3, 4, 6)
    exact, _ = layer(inputs)
    frozen = _frozen_with(layer, "int8")
    expected, _ = frozen(inputs)
    assert not torch.equal(expected, exact)
    assert torch.equal(frozen(nn.Parameter(inputs))[0], expected)
    frozen.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.t().contiguous().t())
    assert torch.equal(frozen(inputs)[0], expected)
    frozen.weight_hh_l0.data.zero_()  # strided weights are never kept
    frozen.bias_hh_l0.zero_()
    assert not torch.equal(frozen(inputs)[0], expected)


def test_int8_does_not_apply_to_calls_with_gradients() -> None:
    layer = layers.GRU(5, 6)
    inputs = torch.randn(4, 2, 5)
    expected, _ = layer(inputs)
    layer.precision = "int8"
    found, _ = layer(inputs)
    assert torch.equal(found, expected)
    found.sum().backward()
    model: Any = charloom.accelerate(nn.Sequential(nn.GRU(5, 6)), precision="int8")
    assert model[0].precision == "int8"


@torch.no_grad()
def test_int8_sums_do_not_overflow() -> None:
    """From 133,153 inputs on they could: such layers compute in float32."""
    layer: Any = layers.RNN(140_000, 2, nonlinearity="relu", bias=False)
    layer.precision = "int8"
    layer.weight_ih_l0.fill_(1e-3)
    outputs, _ = layer(torch.ones(1, 1, 140_000))
    torch.testing.assert_close(outputs, torch.full((1, 1, 2), 140.0), rtol=1e-3, atol=0)


@torch.no_grad()
def test_int8_keeps_the_largest_number() -> None:
    layer: Any = layers.RNN(3, 5)
    layer.weight_ih_l0.copy_(layer.weight_ih_l0.sign())  # rounded to int8 exactly
    inputs = torch.zeros(1, 1, 3)
    inputs[..., 0] = torch.finfo(torch.float32).max
    expected, _ = layer(inputs)
    layer.precision = "int8"
    assert torch.equal(layer(inputs)[0], expected)
