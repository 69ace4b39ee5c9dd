"""The recurrent layers of PyTorch and charloom side by side, and a layer's equivalent in double precision."""

from typing import Any

import torch
from torch import nn

from charloom import layers

CELLS: list[tuple[Any, Any, dict[str, Any]]] = [
    (nn.RNN, layers.RNN, {"nonlinearity": "tanh"}),
    (nn.RNN, layers.RNN, {"nonlinearity": "relu"}),
    (nn.GRU, layers.GRU, {}),
    (nn.LSTM, layers.LSTM, {}),
]
"""The class of ``torch.nn``, that of charloom, and options."""


def torch_equivalent(layer: nn.RNNBase) -> nn.RNNBase:
    """Returns PyTorch's layer in float64 with the weights that ``layer`` has now."""
    names = ["num_layers", "bias", "batch_first", "bidirectional"] + ["nonlinearity"] * isinstance(layer, nn.RNN)
    options: Any = {name: getattr(layer, name) for name in names}
    theirs = getattr(nn, layer.mode.split("_")[0])(layer.input_size, layer.hidden_size, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.copy_(getattr(layer, name))
    return theirs  # type: ignore[no-any-return]
