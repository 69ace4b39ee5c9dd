"""What a language model is made of."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.cells import CellName, Nonlinearity
from charloom.settings.limits import check_number, check_switch, check_whole, check_word

Precision: TypeAlias = Literal["float32", "bfloat16"]
MOST_LAYERS = 1000
"""Ten times as many as anyone trains, and they are made in a second or two."""


@dataclass(frozen=True)
class ModelSettings:
    """What a language model is made of; the defaults are the section's.

    Attributes:
        cell: The recurrent cell: plain (rnn), gated (gru), or long short-term memory (lstm).
        nonlinearity: Of the plain cell: tanh or relu.
        hidden_size: Units in each layer.
        num_layers: Recurrent layers, one on top of the other; 1,000 at most.
        dropout: Probability that a unit is dropped in training: after a learned embedding, between the layers and
            before the output.
        embedding_size: Size of a learned embedding of the input; one-hot input where none.
        tied_output: Share the embedding's weights with the output layer (both must be of one size).
        init_sigma: Standard deviation of the initial weights, biases zero; PyTorch's own initial weights at 0.
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
        check_word(self, cell=CellName, nonlinearity=Nonlinearity)
        check_whole(self, "hidden_size")
        check_whole(self, "num_layers", maximum=MOST_LAYERS)
        check_whole(self, "embedding_size", optional=True)
        check_number(self, "dropout", maximum=1.0)
        check_number(self, "init_sigma")
        check_switch(self, "tied_output")
        if self.dropout == 1.0:
            raise SettingsError("nothing would be left; it must be below 1", setting="dropout", value=self.dropout)
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise SettingsError(
                f"it belongs to the rnn cell, not to {self.cell}", setting="nonlinearity", value=self.nonlinearity
            )
        if self.tied_output and self.embedding_size != self.hidden_size:
            raise SettingsError(
                *("needs ", Argument("embedding_size"), " equal to ", Argument("hidden_size")),
                f" ({self.hidden_size}), not {self.embedding_size}",
                setting="tied_output",
            )
