"""Frozen layers: the same bits as others, packed once, until a weight changes or training starts."""

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import charloom
from charloom import InputError, layers
from charloom.layers.recurrent_layer import RecurrentLayer
from native import INSTRUCTION_SETS, Switch

_CELLS: list[Any] = [layers.RNN, layers.GRU, layers.LSTM]


def _outputs(layer: Any, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = layer(inputs)[0]
    return outputs


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", _CELLS)
def test_frozen_layers_give_the_same_bits(cell: Any, precision: Any, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    layer = cell(7, 40, 2, bidirectional=True)
    layer.precision = precision
    for steps, batch in ((1, 1), (1, 5), (30, 1), (9, 20)):
        inputs = torch.randn(steps, batch, 7)
        expected = _outputs(layer, inputs)
        charloom.freeze(layer)
        assert torch.equal(_outputs(layer, inputs), expected)
        assert torch.equal(_outputs(layer, inputs), expected)
        layer.train()


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
def test_weights_are_packed_once_and_a_write_that_leaves_no_trace_is_not_seen() -> None:
    """The docstring states it. Otherwise the other tests would pass without freezing."""
    layer: Any = charloom.freeze(layers.GRU(3, 32))
    inputs = torch.randn(1, 1, 3)
    before = _outputs(layer, inputs)
    layer.weight_hh_l0.data.add_(1)
    layer.weight_ih_l0.data.add_(1)
    assert torch.equal(_outputs(layer, inputs), before)
    assert not torch.equal(_outputs(charloom.freeze(layer), inputs), before)


def test_views_of_a_weight_s_memory_are_other_weights() -> None:
    """The same tensor, address, shape and version, but transposed."""
    layer: Any = charloom.freeze(layers.RNN(32, 32))
    inputs = torch.randn(1, 1, 32)
    _outputs(layer, inputs)
    layer.weight_ih_l0.data = layer.weight_ih_l0.data.t()
    expected = nn.RNN(32, 32)
    expected.load_state_dict(layer.state_dict())
    torch.testing.assert_close(_outputs(layer, inputs), _outputs(expected, inputs))


def test_training_mode_unfreezes() -> None:
    model: Any = charloom.freeze(nn.Sequential(layers.GRU(3, 8)))
    assert not model.training
    assert model[0].frozen_weights is not None
    model.train()
    assert model[0].frozen_weights is None
    assert charloom.freeze(model).eval()[0].frozen_weights is not None


def test_gradients_of_a_frozen_layer_are_those_of_its_weights() -> None:
    layer: Any = charloom.freeze(layers.LSTM(3, 8))
    inputs = torch.randn(4, 2, 3)
    _outputs(layer, inputs)
    layer(inputs)[0].sum().backward()
    frozen = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    layer.train()(inputs)[0].sum().backward()
    for found, weight in zip(frozen, layer.parameters(), strict=True):
        torch.testing.assert_close(found, weight.grad)


def test_copies_and_pickles_are_frozen_with_weights_of_their_own() -> None:
    layer: Any = charloom.freeze(layers.GRU(3, 8))
    inputs = torch.randn(1, 1, 3)
    before = _outputs(layer, inputs)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert copied.frozen_weights is not None
        assert torch.equal(_outputs(copied, inputs), before)
        with torch.no_grad():
            copied.weight_hh_l0.mul_(2)
            copied.bias_ih_l0.add_(1)
        assert not torch.equal(_outputs(copied, inputs), before)
        assert torch.equal(_outputs(layer, inputs), before)


def test_weights_without_versions_are_not_kept() -> None:
    with torch.inference_mode():
        layer: Any = layers.GRU(3, 32)
        charloom.freeze(layer)
        inputs = torch.randn(1, 1, 3)
        before = layer(inputs)[0]
        layer.weight_hh_l0.data.add_(1)
        layer.bias_ih_l0.add_(1)
        after = layer(inputs)[0]
    assert not torch.equal(before, after)


def test_threads_that_call_and_change_a_frozen_layer() -> None:
    """A result is that of the weights before or after a change, never of a mixture that stays."""
    layer: Any = charloom.freeze(layers.GRU(3, 32))
    inputs = torch.randn(1, 1, 3)
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            _outputs(layer, inputs)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with torch.no_grad():
            layer.bias_ih_l0.add_(0.01)
        layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.detach().clone())
    stop.set()
    for thread in threads:
        thread.join()
    expected = _outputs(copy.deepcopy(layer).train(), inputs)
    assert torch.equal(_outputs(layer, inputs), expected)


def test_accelerated_models_freeze_and_restore() -> None:
    model: Any = charloom.freeze(charloom.accelerate(nn.Sequential(nn.LSTM(3, 8))))
    inputs = torch.randn(2, 1, 3)
    expected = _outputs(nn.Sequential(copy.deepcopy(model[0])), inputs)
    assert torch.equal(_outputs(model, inputs), expected)
    assert "frozen_weights" not in vars(charloom.restore(model)[0])
    torch.testing.assert_close(_outputs(model, inputs), expected)


def test_models_without_layers_of_charloom_are_refused() -> None:
    with pytest.raises(InputError, match="call accelerate first"):
        charloom.freeze(nn.Sequential(nn.LSTM(3, 4)))


@pytest.mark.parametrize("backend", ["pytorch", "reference"])
def test_without_kernels_a_frozen_layer_computes_as_others(backend: str, compute_by: Switch) -> None:
    compute_by(backend)
    layer: Any = layers.GRU(3, 8)
    inputs = torch.randn(2, 1, 3)
    assert torch.equal(_outputs(layer, inputs), _outputs(charloom.freeze(layer), inputs))
    assert isinstance(layer, RecurrentLayer)


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
@torch.no_grad()
def test_replaced_memory_lives_until_the_next_call() -> None:
    """Otherwise a later replacement could get its address, and the weights would look unchanged."""
    layer: Any = charloom.freeze(layers.GRU(5, 32))
    inputs = torch.randn(1, 1, 5)
    memory = np.ones(layer.weight_ih_l0.shape, np.float32)
    alive = weakref.ref(memory)
    layer.weight_ih_l0.data = torch.from_numpy(memory)
    del memory
    layer(inputs)
    layer.weight_ih_l0.data = torch.randn_like(layer.weight_ih_l0)
    assert alive() is not None
    layer(inputs)
    assert alive() is None


def test_a_frozen_layer_in_a_reference_cycle_is_collected() -> None:
    layer: Any = charloom.freeze(layers.LSTM(6, 8))
    layer.weight_hh_l0.owner = layer
    _outputs(layer, torch.randn(3, 2, 6))
    alive = weakref.ref(layer)
    del layer
    gc.collect()
    assert alive() is None
