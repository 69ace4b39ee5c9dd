"""Recurrent layers: ``torch.nn``'s own with ``begin_state`` and charloom's choice of how they are computed."""

from charloom.layers.accelerate import accelerate
from charloom.layers.gru import GRU
from charloom.layers.lstm import LSTM
from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.layers.rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "RecurrentLayer", "accelerate"]
