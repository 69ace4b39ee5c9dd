"""Recurrent layers: ``torch.nn``'s own with ``begin_state`` and charloom's choice of how they are computed."""

from charloom.layers.accelerate import accelerate, restore
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.layers.torch_layers import GRU, LAYERS, LSTM, RNN

__all__ = ["GRU", "LAYERS", "LSTM", "RNN", "RecurrentLayer", "accelerate", "restore"]
