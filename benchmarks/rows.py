"""The measured sizes of models and minibatches, and the arithmetic of one training step."""

from dataclasses import dataclass

VOCABULARY = 44
"""Number of tokens of the section's text."""


@dataclass(frozen=True)
class Row:
    """Sizes of one model and its minibatch.

    Attributes:
        cell: Kind of layer: rnn, gru or lstm.
        hidden: Number of hidden units.
        layers: Number of layers.
        batch: Number of sequences in a minibatch.
        steps: Number of time steps.
        threads: Number of threads.
    """

    cell: str
    hidden: int
    layers: int
    batch: int
    steps: int
    threads: int

    @property
    def name(self) -> str:
        """Name of the row, for example ``rnn 256``."""
        return f"{self.cell} {self.hidden}"

    @property
    def flops(self) -> float:
        """Operations of one step's matrix products, forward and backward, without the one-hot input (a look-up)."""
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[self.cell]
        products = gates * self.hidden * self.hidden * (2 * self.layers - 1) + self.hidden * VOCABULARY
        return 3 * 2 * self.batch * self.steps * products


def layer_flops(row: Row) -> float:
    """Returns the operations of the layers alone, forward and backward, if the input size is the hidden size."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[row.cell]
    return 3 * 2 * row.batch * row.steps * gates * row.hidden * row.hidden * 2 * row.layers


CELLS = ("rnn", "gru", "lstm")
ROWS = [
    *(Row(cell, 256, layers=1, batch=32, steps=35, threads=2) for cell in CELLS),
    *(Row(cell, 512, layers=2, batch=64, steps=64, threads=2) for cell in CELLS),
    *(Row(cell, 128, layers=1, batch=1, steps=35, threads=1) for cell in CELLS),
]
