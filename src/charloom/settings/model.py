"""Settings of a language model's architecture."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.limits import check_bool, check_int, check_number, check_str
from charloom_codec.cells import CellName, Nonlinearity

Precision: TypeAlias = Literal["float32", "bfloat16"]
LayerPrecision: TypeAlias = Literal["float32", "bfloat16", "int8"]
"""Precision of a recurrent layer; int8 applies to calls without gradients, and others compute in float32."""
MAX_LAYERS = 1000
"""Ten times as many as are ever trained; building them takes one or two seconds."""


@dataclass(frozen=True)
class ModelSettings:
    """Settings of a language model's architecture; the defaults are those of the recipe ``section``.

    Attributes:
        cell: The recurrent cell: plain RNN (rnn), gated recurrent unit (gru), or long short-term memory (lstm).
        nonlinearity: Nonlinearity of the plain cell: tanh or relu.
        hidden_size: Number of hidden units of each layer.
        num_layers: Number of stacked recurrent layers, at most 1,000.
        dropout: Dropout probability in training: after the embedding, between layers and before the output layer.
        embedding_size: Size of the input embedding. Default: one-hot input.
        tied_output: Share the weights of the embedding with the output layer; the embedding size and the hidden size
            must be equal.
        init_sigma: Standard deviation of the initial weights, with zero biases; 0 for PyTorch's initial weights.
    """

    cell: CellName = "rnn"
    nonlinearity: Nonlinearity = "tanh"
    hidden_size: int = 256
    num_layers: int = 1
    dropout: float = 0.0
    embedding_size: int | None = None
    tied_output: bool = False
    init_sigma: float = 0.01

    def __post_init__(self) -> None:
        check_str(self, cell=CellName, nonlinearity=Nonlinearity)
        check_int(self, "hidden_size")
        check_int(self, "num_layers", maximum=MAX_LAYERS)
        check_int(self, "embedding_size", optional=True)
        # PyTorch accepts 1, which zeroes all activations: nothing could be learned.
        check_number(self, "dropout", maximum=1.0, below_maximum=True)
        check_number(self, "init_sigma")
        check_bool(self, "tied_output")
        # The other cells would ignore the setting.
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise SettingsError(
                f"it applies only to the rnn cell, not to {self.cell}", setting="nonlinearity", value=self.nonlinearity
            )
        # Per token, the output layer has hidden_size weights and the embedding has embedding_size.
        if self.tied_output and self.embedding_size != self.hidden_size:
            raise SettingsError(
                *("requires ", Argument("embedding_size"), " equal to ", Argument("hidden_size")),
                f" ({self.hidden_size}), not {self.embedding_size}",
                setting="tied_output",
            )
