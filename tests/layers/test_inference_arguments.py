"""``inference_arguments``: options and weights of a layer as they are at the call, or None."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from charloom import layers
from charloom.layers.inference_arguments import inference_arguments
from charloom.recurrence.kernel_arguments import MAX_INT8_INPUTS, PRECISIONS
from charloom_codec.cells import CELLS


def test_options_are_those_of_the_layer() -> None:
    layer = layers.GRU(3, 5, 2, bias=False, bidirectional=True)
    layer.precision = "bfloat16"
    found = inference_arguments(layer)
    assert found is not None
    cell, precision, *others = found[0]
    assert CELLS[cell].name == "gru"
    assert PRECISIONS[precision] == "bfloat16"
    assert others == [3, 5, 2, True, False]
    assert [tuple(weight.shape) for weight in found[1]] == [tuple(weight.shape) for weight in layer.parameters()]


def test_int8_of_a_large_layer_is_float32() -> None:
    """With more inputs, the sums of products could overflow."""
    for inputs, expected in ((MAX_INT8_INPUTS, "int8"), (MAX_INT8_INPUTS + 1, "float32")):
        layer = layers.RNN(inputs, 1)
        layer.precision = "int8"
        found = inference_arguments(layer)
        assert found is not None
        assert PRECISIONS[found[0][1]] == expected


def test_replaced_weights_are_returned() -> None:
    layer: Any = layers.LSTM(3, 4)
    other = torch.zeros(16, 3)
    del layer.weight_ih_l0
    layer.weight_ih_l0 = other
    found = inference_arguments(layer)
    assert found is not None
    assert found[1][0] is other


def test_layers_that_the_kernels_do_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    dropout = layers.LSTM(3, 4, 2, dropout=0.5)
    assert inference_arguments(dropout) is None
    assert inference_arguments(dropout.eval()) is not None
    parametrized = parametrizations.weight_norm(layers.LSTM(3, 4), "weight_hh_l0")
    assert inference_arguments(parametrized) is None
    monkeypatch.setattr(nn.LSTM, "forward", lambda *_: None)
    assert inference_arguments(dropout) is None
