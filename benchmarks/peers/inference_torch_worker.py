"""PyTorch and charloom worker of the inference benchmark: a recurrent layer in evaluation, kept warm in one process."""

from typing import Any

import torch
from torch import nn
from worker import Step, serve

import charloom

_LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def _bandwidth(num_bytes: int) -> Step:
    """Returns a step that reads this number of bytes once: the dot product of two halves."""
    first, second = torch.randn(2, num_bytes // 8)
    return lambda: torch.dot(first, second)


def _rate() -> Step:
    """Returns a product of 2 * 1024**3 operations."""
    a, b = torch.randn(2, 1024, 1024)
    return lambda: a @ b


def make(row: dict[str, Any]) -> Step:
    """Returns a call of a layer, or a step that measures the machine."""
    torch.set_num_threads(row["threads"])
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    if row["contestant"] == "rate":
        return _rate()
    if row["contestant"] == "bandwidth":
        return _bandwidth(row["weight_bytes"])
    layer = _LAYERS[row["cell"]](row["inputs"], row["hidden"], row["layers"]).eval()
    inputs = torch.randn(row["steps"], row["batch"], row["inputs"])
    state: Any = torch.zeros(row["layers"], row["batch"], row["hidden"])
    if row["cell"] == "lstm":
        state = state, state.clone()
    if row["contestant"].startswith("charloom"):
        charloom.accelerate(layer)
    if row["contestant"] == "charloom frozen":
        charloom.freeze(layer)
    return lambda: layer(inputs, state)


if __name__ == "__main__":
    serve(make)
