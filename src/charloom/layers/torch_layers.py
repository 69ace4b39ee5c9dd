"""The layers: ``torch.nn``'s own with ``begin_state``; same arguments, parameters and results."""

from torch import nn

from charloom.layers.recurrent_layer import RecurrentLayer
from charloom.settings.cells import CELLS


class RNN(RecurrentLayer, nn.RNN):
    """``torch.nn.RNN`` with ``begin_state``: plain, tanh or relu. Prefer the others if a text's structure is long.

    Source: Elman, Finding Structure in Time, 1990.
    """


class GRU(RecurrentLayer, nn.GRU):
    """``torch.nn.GRU`` with ``begin_state``: nearly an LSTM's memory at three quarters of its parameters.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """


class LSTM(RecurrentLayer, nn.LSTM):
    """``torch.nn.LSTM`` with ``begin_state``: the strongest on text; its state is (hidden state, memory cell).

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """


LAYERS: dict[str, type[RNN | GRU | LSTM]] = {cell.setting: globals()[cell.layer] for cell in CELLS}
"""The layers by the names that settings give them."""
