"""Long short-term memory: the strongest of the three on text; its state is a pair (hidden state, memory cell)."""

from torch import nn

from charloom.layers.recurrent_layer import RecurrentLayer


class LSTM(RecurrentLayer, nn.LSTM):
    """``torch.nn.LSTM`` with ``begin_state``: same arguments, parameters and results.

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """
