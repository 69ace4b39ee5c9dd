"""A layer after ``torch.jit.script``: PyTorch's class until its next use in Python, then its own again."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

import charloom
from charloom import layers
from charloom.layers.recurrent_layer import RecurrentLayer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _scripted(precision: str = "float32") -> layers.GRU:
    layer = layers.GRU(3, 4)
    layer.precision = precision  # type: ignore[assignment]
    torch.jit.script(nn.Sequential(layer))
    assert not isinstance(layer, RecurrentLayer)
    return layer


def test_a_call_restores_the_class() -> None:
    layer = _scripted("bfloat16")
    outputs, _ = layer(torch.randn(2, 1, 3))
    assert outputs.shape == (2, 1, 4)
    assert type(layer) is layers.GRU
    assert layer.precision == "bfloat16"


def test_begin_state_and_copies_restore_the_class() -> None:
    layer = _scripted()
    layer.begin_state(2)
    assert type(layer) is layers.GRU
    assert type(copy.deepcopy(_scripted())) is layers.GRU


def test_a_precision_that_is_set_meanwhile_is_kept() -> None:
    layer = _scripted()
    layer.precision = "bfloat16"
    layer(torch.randn(2, 1, 3))
    assert layer.precision == "bfloat16"


def test_restore_ends_the_wait() -> None:
    model = charloom.accelerate(nn.Sequential(nn.GRU(3, 4)))
    torch.jit.script(model)
    assert type(charloom.restore(model)[0]) is nn.GRU
    model[0](torch.randn(2, 1, 3))
    assert type(model[0]) is nn.GRU


def test_accelerate_and_freeze_apply_to_a_scripted_layer() -> None:
    model = charloom.accelerate(nn.Sequential(nn.GRU(3, 4)))
    layer: Any = model[0]
    torch.jit.script(model)
    charloom.accelerate(model, precision="int8")
    layer(torch.randn(2, 1, 3))
    assert layer.precision == "int8"
    torch.jit.script(model)
    assert charloom.freeze(model)[0].frozen_weights


def test_training_mode_unfreezes_a_scripted_layer() -> None:
    model = charloom.freeze(charloom.accelerate(nn.Sequential(nn.GRU(3, 4))))
    torch.jit.script(model)
    model.train()
    layer: Any = model[0]
    assert type(layer) == nn.GRU  # noqa: E721 - an accelerated class equals it
    assert layer.frozen_weights is None
