"""Weights of another size or dtype than the layer's: a table of transforms, ``WRONG_WEIGHTS``."""

from collections.abc import Callable
from typing import Any

import torch

from torch_transforms import on_layer, put, put_plain

_WEIGHT = "weight_hh_l0"


def with_memory(tensor: torch.Tensor, size: int) -> torch.Tensor:
    """Returns a copy whose storage is truncated to ``size`` bytes, as when an offloader has the rest elsewhere."""
    copy = tensor.clone()
    copy.untyped_storage().resize_(size)
    return copy


WRONG_WEIGHTS: dict[str, Callable[[Any], Any]] = {
    "input weights too narrow": put("weight_ih_l0", lambda weight: weight[:, :-1]),
    "input weights too few rows": put("weight_ih_l0", lambda weight: weight[: len(weight) // 3]),
    "hidden weights smaller": put(_WEIGHT, lambda weight: weight[:, : weight.shape[1] // 2]),
    "hidden weights fewer rows": put(_WEIGHT, lambda weight: weight[:-1]),
    "hidden weights transposed": put(_WEIGHT, lambda weight: weight.t()),
    "hidden weights of three dimensions": put(_WEIGHT, lambda weight: weight[None]),
    "hidden weights float64": put_plain(_WEIGHT, lambda weight: weight.double()),
    "hidden weights bfloat16": put_plain(_WEIGHT, lambda weight: weight.bfloat16()),
    "hidden weights int8": put_plain(_WEIGHT, lambda weight: (weight * 9).to(torch.int8)),
    "hidden weights sparse": put_plain(_WEIGHT, lambda weight: weight.to_sparse()),
    "hidden weights on meta": put_plain(_WEIGHT, lambda weight: weight.to("meta")),
    "hidden weights None": put_plain(_WEIGHT, lambda _: None),
    "hidden weights freed": put(_WEIGHT, lambda weight: with_memory(weight, 0)),
    "hidden weights shrunk": put(_WEIGHT, lambda weight: with_memory(weight, 16)),
    "bias freed": put("bias_ih_l0", lambda bias: with_memory(bias, 0)),
    "more layers": on_layer(lambda layer: setattr(layer, "num_layers", 2)),
    "another direction": on_layer(lambda layer: setattr(layer, "bidirectional", True)),
    "without biases": on_layer(lambda layer: setattr(layer, "bias", False)),
    "bias of one element": put("bias_hh_l0", lambda bias: bias[:1] * 0),
    "bias longer": put("bias_ih_l0", lambda bias: torch.cat([bias, bias])),
    "bias of two dimensions": put("bias_ih_l0", lambda bias: bias[None]),
}
