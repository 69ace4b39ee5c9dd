"""A replaced ``forward`` of a class of ``torch.nn`` is detected."""

from typing import Any

import pytest
from torch import nn

from charloom.layers.torch_classes import TORCH_CLASSES, has_torch_forward


def test_the_classes_by_mode() -> None:
    assert TORCH_CLASSES == {"RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}


def test_a_replaced_forward_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(*_: Any) -> None:
        return None

    assert all(map(has_torch_forward, TORCH_CLASSES))
    monkeypatch.setattr(nn.GRU, "forward", forward)
    assert not has_torch_forward("GRU")
    assert has_torch_forward("LSTM")
