"""A plain (Elman) recurrent layer, tanh or relu. Prefer ``GRU`` or ``LSTM`` where a text's structure is long."""

from torch import nn

from charloom.layers.recurrent_layer import RecurrentLayer


class RNN(RecurrentLayer, nn.RNN):
    """``torch.nn.RNN`` with ``begin_state``: same arguments, parameters and results.

    Source: Elman, Finding Structure in Time, 1990.
    """
