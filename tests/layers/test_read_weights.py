"""The weights of a layer as a call reads them."""

from typing import Any

import pytest
from torch import nn
from torch.nn.utils import prune

from charloom import layers
from charloom.layers.read_weights import has_plain_weights, named_weights, num_weights, suits_one_dnn


def test_weights_are_read_by_name() -> None:
    layer = layers.GRU(3, 4, 2, bidirectional=True)
    found = named_weights(layer)
    assert found is not None
    weights = [weight for cell in found for weight in cell]
    assert all(mine is weight for mine, weight in zip(weights, layer.parameters(), strict=True))
    bare = named_weights(layers.GRU(3, 4, bias=False))
    assert bare is not None
    assert [weight is None for weight in bare[0]] == [False, False, True, True]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_weights_that_pytorch_does_not_read_by_name() -> None:
    assert named_weights(layers.LSTM(3, 4, proj_size=2)) is None
    parametrized = layers.GRU(3, 4)
    nn.utils.parametrize.register_parametrization(parametrized, "weight_hh_l0", nn.Identity())
    assert named_weights(parametrized) is None
    missing = layers.GRU(3, 4)
    del missing.weight_hh_l0
    assert named_weights(missing) is None


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_the_number_of_weights_counts_biases_projections_and_directions() -> None:
    options: list[dict[str, Any]] = [{}, {"bias": False}, {"proj_size": 2}, {"num_layers": 3, "bidirectional": True}]
    for kinds in options:
        layer = nn.LSTM(3, 4, **kinds)
        assert num_weights(layer) == len(list(layer.parameters()))


def test_plain_weights_are_the_registered_parameters() -> None:
    layer = layers.GRU(3, 4)
    assert has_plain_weights(layer)
    nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    assert not has_plain_weights(layer)
    pruned = layers.GRU(3, 4)
    prune.random_unstructured(pruned, "weight_hh_l0", 0.5)  # type: ignore[no-untyped-call]
    assert not has_plain_weights(pruned)


def test_one_dnn_is_not_used_with_weights_that_are_too_small() -> None:
    layer: Any = layers.LSTM(3, 4)
    assert suits_one_dnn(layer, named_weights(layer))
    layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0[:4])
    assert not suits_one_dnn(layer, named_weights(layer))
    gru: Any = layers.GRU(3, 4)
    gru.weight_hh_l0 = nn.Parameter(gru.weight_hh_l0[:4])
    assert suits_one_dnn(gru, named_weights(gru))  # PyTorch never passes a GRU on the CPU to oneDNN
