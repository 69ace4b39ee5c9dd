"""The recurrent cells: one entry for each, and every table of cells is made from these."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from charloom.errors import CharloomError

CellName: TypeAlias = Literal["rnn", "gru", "lstm"]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]


class Cell(NamedTuple):
    """A recurrent cell.

    Attributes:
        name: In the native code and in the codec.
        number: In the native code and in the codec's files.
        setting: As the settings name it; in capitals the layer of ``torch.nn``.
        nonlinearity: The setting that goes with it; of most cells the default.
        gates: Blocks of rows in its weights.
        state_parts: Tensors of its state.
        kept_per_unit: Floats that training keeps of a unit for the way back at each step, and needs beside them there:
            gates, states, their gradients.
        bounded: Its hidden states lie between -1 and 1.
        backward_reads_state: The way back reads the state before a step, not only for the gradients of hidden weights.
    """

    name: str
    number: int
    setting: CellName
    nonlinearity: Nonlinearity
    gates: int
    state_parts: int
    kept_per_unit: int
    bounded: bool = True
    backward_reads_state: bool = False

    @property
    def mode(self) -> str:
        """As ``torch.nn.RNNBase.mode``."""
        return self.name.upper()

    @property
    def layer(self) -> str:
        """The name of its layer in ``torch.nn``."""
        return self.setting.upper()


CELLS = (
    Cell("rnn_tanh", 0, "rnn", "tanh", gates=1, state_parts=1, kept_per_unit=3),
    Cell("rnn_relu", 1, "rnn", "relu", gates=1, state_parts=1, kept_per_unit=3, bounded=False),
    Cell("gru", 2, "gru", "tanh", gates=3, state_parts=1, kept_per_unit=8, backward_reads_state=True),
    Cell("lstm", 3, "lstm", "tanh", gates=4, state_parts=2, kept_per_unit=10),
)
"""By their numbers."""
CELL_NAMED = {cell.name: cell for cell in CELLS}
CELL_OF_MODE = {cell.mode: cell for cell in CELLS}


def check_native_cells(module: str, found: Mapping[str, tuple[int, int]]) -> None:
    """Raises CharloomError for a native module whose cells have other numbers or gates: it would compute others."""
    expected = {cell.name: (cell.number, cell.gates) for cell in CELLS}
    if found != expected:
        raise CharloomError(
            f"{module} was built from other sources than this charloom: its cells are {dict(found)}, not {expected}; "
            "install charloom again"
        )
