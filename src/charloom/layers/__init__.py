"""Recurrent layers: ``torch.nn``'s own with ``begin_state`` and charloom's choice of how they are computed."""

from collections.abc import Callable

from charloom.layers.accelerate import accelerate, restore
from charloom.layers.gru import GRU
from charloom.layers.lstm import LSTM
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.layers.rnn import RNN

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "RecurrentLayer", "accelerate", "restore"]

CELLS: dict[str, Callable[..., RecurrentLayer]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
"""The layers by the names that settings give them."""
