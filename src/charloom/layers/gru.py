"""Gated recurrent units: nearly an LSTM's memory at three quarters of its parameters."""

from torch import nn

from charloom.layers.recurrent_layer import RecurrentLayer


class GRU(RecurrentLayer, nn.GRU):
    """``torch.nn.GRU`` with ``begin_state``: same arguments, parameters and results.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """
