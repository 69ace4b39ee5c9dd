"""A recurrent layer's equivalent in PyTorch, in double precision."""

from typing import Any

import torch
from torch import nn


def torch_equivalent(layer: nn.RNNBase) -> nn.RNNBase:
    """Returns PyTorch's layer in float64 with the weights that ``layer`` has now."""
    names = ["num_layers", "bias", "batch_first", "bidirectional"] + ["nonlinearity"] * isinstance(layer, nn.RNN)
    options: Any = {name: getattr(layer, name) for name in names}
    theirs = getattr(nn, layer.mode.split("_")[0])(layer.input_size, layer.hidden_size, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.copy_(getattr(layer, name))
    return theirs  # type: ignore[no-any-return]
