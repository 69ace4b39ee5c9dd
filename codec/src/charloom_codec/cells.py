"""The recurrent cells, one entry each. All other tables of cells derive from these entries."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from charloom_codec.errors import CharloomError

CellName: TypeAlias = Literal["rnn", "gru", "lstm"]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]


class Cell(NamedTuple):
    """A recurrent cell.

    Attributes:
        name: Name in the native code and in the codec.
        number: Number in the native code and in the codec's files.
        setting: Value of the setting ``cell``; in capitals the name of the layer in ``torch.nn``.
        nonlinearity: Value of the setting ``nonlinearity``; the default for cells that have no choice.
        gates: Number of gates, the blocks of rows in its weights.
        state_parts: Number of state tensors.
        kept_per_unit: Floats per unit and step that the backward pass reads or needs: gates, states, their gradients.
        backward_reads_state: True if the backward pass reads the previous state for more than the gradients of the
            hidden weights.
    """

    name: str
    number: int
    setting: CellName
    nonlinearity: Nonlinearity
    gates: int
    state_parts: int
    kept_per_unit: int
    backward_reads_state: bool = False

    @property
    def mode(self) -> str:
        """Value of ``torch.nn.RNNBase.mode``."""
        return self.name.upper()

    @property
    def layer(self) -> str:
        """Name of the layer in ``torch.nn``."""
        return self.setting.upper()


# The numbers are stored in compressed files: a new cell gets a new number, and none is ever reused.
CELLS = (
    Cell("rnn_tanh", 0, "rnn", "tanh", gates=1, state_parts=1, kept_per_unit=3),
    Cell("rnn_relu", 1, "rnn", "relu", gates=1, state_parts=1, kept_per_unit=3),
    Cell("gru", 2, "gru", "tanh", gates=3, state_parts=1, kept_per_unit=8, backward_reads_state=True),
    Cell("lstm", 3, "lstm", "tanh", gates=4, state_parts=2, kept_per_unit=10),
)
"""All cells, in the order of their numbers."""
CELL_NAMED = {cell.name: cell for cell in CELLS}
# A layer of torch.nn has a mode that includes its nonlinearity, and no other name of its cell.
CELL_OF_MODE = {cell.mode: cell for cell in CELLS}


def check_native_cells(module: str, found: Mapping[str, tuple[int, int]]) -> None:
    """Raises CharloomError if a native module was built with other cells, numbers or gates."""
    # Native modules index their kernels by these numbers, and a stale build would silently compute another cell.
    expected = {cell.name: (cell.number, cell.gates) for cell in CELLS}
    if found != expected:
        raise CharloomError(
            f"{module} was built from another version of charloom: its cells are {dict(found)}, not {expected}; "
            "reinstall charloom"
        )
