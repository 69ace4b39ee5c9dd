"""The layers are those of ``torch.nn``, under the names of the settings."""

from typing import Any

import pytest
from torch import nn

from charloom import layers


@pytest.mark.parametrize(("our_class", "kind"), [(layers.RNN, nn.RNN), (layers.GRU, nn.GRU), (layers.LSTM, nn.LSTM)])
def test_layers_are_those_of_torch(our_class: Any, kind: Any) -> None:
    """A drop-in: an instance of torch's class with its parameters, in its order."""
    layer, theirs = our_class(3, 4, 2, bidirectional=True), kind(3, 4, 2, bidirectional=True)
    assert isinstance(layer, kind)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        (name, p.shape) for name, p in theirs.named_parameters()
    ]


def test_each_cell_of_the_settings_has_its_layer() -> None:
    assert {"rnn": layers.RNN, "gru": layers.GRU, "lstm": layers.LSTM} == layers.LAYERS
