"""RNN, GRU and LSTM: the layers of ``torch.nn`` with ``begin_state``; same arguments, parameters and results."""

from torch import nn

from charloom.layers.recurrent_layer import RecurrentLayer
from charloom_codec.cells import CELLS


class RNN(RecurrentLayer, nn.RNN):
    """``torch.nn.RNN`` with ``begin_state``, with tanh or relu. Prefer GRU and LSTM for long-range structure.

    Source: Elman, Finding Structure in Time, 1990.
    """


class GRU(RecurrentLayer, nn.GRU):
    """``torch.nn.GRU`` with ``begin_state``: nearly as accurate as LSTM over long ranges, with 3/4 of its parameters.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """


class LSTM(RecurrentLayer, nn.LSTM):
    """``torch.nn.LSTM`` with ``begin_state``: the most accurate of the three on text.

    Its state is (hidden state, cell state).

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """


# From the table of cells, so that a cell that is added there without a layer here fails at import.
LAYERS: dict[str, type[RNN | GRU | LSTM]] = {cell.setting: globals()[cell.layer] for cell in CELLS}
"""The layers by the names of the setting ``cell``."""
