"""Every way in which a weight can change: the next call sees it, mixed with calls, copies and pickles."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import charloom
from charloom import layers
from examples import examples
from torch_equivalent import CELLS, torch_equivalent


def _small_like(tensor: Tensor) -> Tensor:
    """Returns random weights, small enough that rounding errors do not grow from step to step."""
    return 0.2 * torch.randn_like(tensor)


_Change = Callable[[Any], Any]


def _train(layer: Any) -> None:
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    with torch.enable_grad():
        layer(torch.randn(3, 2, layer.input_size))[0].sum().backward()
    optimizer.step()


def _train_fused(layer: Any) -> None:
    weights = [weight for weight in layer.parameters() if weight.is_leaf]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    # In evaluation mode, so that a frozen layer stays frozen.
    torch.optim.AdamW(weights, 0.1, fused=True).step()


def _register_again(layer: Any) -> None:
    del layer.weight_ih_l0
    layer.register_parameter(
        "weight_ih_l0", nn.Parameter(0.2 * torch.randn(layer.bias_ih_l0.shape[0], layer.input_size))
    )


_CHANGES: dict[str, _Change] = {
    "optimizer": _train,
    "fused optimizer": _train_fused,
    "in place": lambda layer: layer.weight_hh_l0.mul_(0.5),
    "through data": lambda layer: layer.weight_ih_l0.data.add_(0.25),
    "through numpy": lambda layer: layer.bias_ih_l0.detach().numpy().__iadd__(0.5),
    "data replaced": lambda layer: setattr(layer.weight_hh_l0, "data", _small_like(layer.weight_hh_l0)),
    "parameter replaced": lambda layer: setattr(layer, "bias_hh_l0", nn.Parameter(_small_like(layer.bias_hh_l0))),
    "registered again": _register_again,
    "state dict": lambda layer: layer.load_state_dict({k: _small_like(v) for k, v in layer.state_dict().items()}),
    "state dict assigned": lambda layer: layer.load_state_dict(
        {k: _small_like(v) for k, v in layer.state_dict().items()}, assign=True
    ),
    "to half precision and back": lambda layer: layer.half().float(),
    "to and back": lambda layer: layer.to(torch.float64).to(torch.float32),
    "pruned": lambda layer: prune.random_unstructured(layer, "weight_hh_l0", 0.3),  # type: ignore[no-untyped-call]
    "flattened": lambda layer: layer.flatten_parameters(),
    "shared memory": lambda layer: layer.share_memory(),
}


_UNRECORDED = {"through data", "through numpy"}  # PyTorch counts no version


@settings(max_examples=examples(25))
@given(data=st.data(), frozen=st.booleans())
def test_every_change_of_a_weight_is_seen_by_the_next_call(data: st.DataObject, frozen: bool) -> None:
    """A frozen layer sees every change that PyTorch records."""
    _, layer_class, options = data.draw(st.sampled_from(CELLS))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    layer: nn.RNNBase = layer_class(5, data.draw(st.sampled_from([4, 32])), **options)
    inputs = torch.randn(data.draw(st.sampled_from([1, 6])), 2, 5)
    changes = st.sampled_from([name for name in _CHANGES if not (frozen and name in _UNRECORDED)])
    for change in data.draw(st.lists(changes, min_size=1, max_size=5)):
        with torch.no_grad():
            if frozen:
                charloom.freeze(layer)
            layer(inputs)
            if change == "registered again" and "weight_ih_l0" not in layer._parameters:
                continue
            if change == "pruned" and "weight_hh_l0" not in layer._parameters:
                continue
            if change in ("in place", "data replaced") and "weight_hh_l0" not in layer._parameters:
                continue
            _CHANGES[change](layer)
            # PyTorch copies no layer with a computed weight, such as a pruned one.
            copyable = all(weight.is_leaf for weight in layer._flat_weights if isinstance(weight, Tensor))
            for copied in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))) if copyable else (layer,):
                found, _ = copied(inputs)
                expected, _ = torch_equivalent(copied)(inputs.double())
                torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5, msg=change)


@pytest.mark.parametrize("frozen", [False, True])
@torch.no_grad()
def test_functional_call_and_parametrizations_are_seen(frozen: bool) -> None:
    layer = layers.GRU(3, 8)
    if frozen:
        charloom.freeze(layer)
    inputs = torch.randn(1, 1, 3)
    before, _ = layer(inputs)
    weights = {name: _small_like(weight) for name, weight in layer.named_parameters()}
    found, _ = torch.func.functional_call(layer, weights, (inputs,))
    assert not torch.equal(found, before)
    assert torch.equal(layer(inputs)[0], before)
    parametrize.register_parametrization(layer, "weight_hh_l0", nn.Tanh())
    layer.parametrizations.weight_hh_l0.original.mul_(2)  # type: ignore[union-attr,operator]
    torch.testing.assert_close(
        layer(inputs)[0].double(), torch_equivalent(layer)(inputs.double())[0], rtol=1e-4, atol=1e-5
    )


def test_a_frozen_layer_sees_changes_of_an_inference_tensor() -> None:
    layer: Any = charloom.freeze(layers.GRU(3, 5))
    with torch.inference_mode():
        weight = torch.randn(15, 5)
    layer.weight_hh_l0 = nn.Parameter(weight, requires_grad=False)
    with torch.inference_mode():
        inputs = torch.randn(4, 2, 3)
        layer(inputs)
        layer.weight_hh_l0.mul_(0.5)
        expected, _ = torch_equivalent(layer)(inputs.double())
        torch.testing.assert_close(layer(inputs)[0].double(), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_frozen_layer_sees_another_tensor_at_the_address_of_a_freed_one() -> None:
    layer: Any = layers.LSTM(6, 32)
    memory = np.full((128, 32), 0.1, dtype=np.float32)
    weight = layer.weight_hh_l0
    weight.data = torch.from_numpy(memory)
    charloom.freeze(layer)
    inputs = torch.randn(3, 1, 6)
    layer(inputs)
    address, version = weight.data_ptr(), weight._version
    weight.share_memory_()  # moves the storage and leaves the old memory to others
    memory[:] = -0.2
    weight.data = torch.from_numpy(memory)
    assert (weight.data_ptr(), weight._version) == (address, version)
    expected, _ = torch_equivalent(layer)(inputs.double())
    torch.testing.assert_close(layer(inputs)[0].double(), expected, rtol=1e-4, atol=1e-5)


def test_hooks_of_a_fused_optimizer_see_the_new_weights() -> None:
    """Its own hooks run before global ones; one that raises an error prevents the others."""
    layer: Any = charloom.freeze(layers.GRU(3, 5))
    inputs, seen = torch.randn(2, 1, 3), []
    for weight in layer.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, fused=True)

    def read(*_: Any) -> None:
        with torch.no_grad():
            seen.append(layer(inputs)[0])
        raise KeyboardInterrupt

    optimizer.register_step_post_hook(read)
    with torch.no_grad():
        layer(inputs)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    with torch.no_grad():
        expected, _ = torch_equivalent(layer)(inputs.double())
        for found in (seen[0], layer(inputs)[0]):
            torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_fused_optimizers_of_other_models_are_left_alone() -> None:
    """PyTorch does not raise the versions of their weights, so that a second backward pass is possible."""
    charloom.freeze(layers.GRU(3, 5))
    other = nn.Linear(3, 2)
    loss = other(torch.randn(4, 3, requires_grad=True)).square().sum()
    loss.backward(retain_graph=True)
    version = other.weight._version
    torch.optim.SGD(other.parameters(), 0.1, fused=True).step()
    assert other.weight._version == version
    loss.backward()
