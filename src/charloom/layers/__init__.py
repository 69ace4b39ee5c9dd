"""Recurrent layers: those of ``torch.nn`` with ``begin_state``, computed by the backend that charloom selects."""

from charloom.layers.accelerate import accelerate, restore
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.layers.torch_layers import GRU, LAYERS, LSTM, RNN

__all__ = ["GRU", "LAYERS", "LSTM", "RNN", "RecurrentLayer", "accelerate", "restore"]
