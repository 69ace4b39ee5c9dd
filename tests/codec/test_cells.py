"""The description of the cells: every table of them has the same ones."""

import subprocess
import sys
from typing import get_args

import pytest

from charloom import CharloomError, layers
from charloom.recurrence.equations import STEPS
from charloom_codec.cells import CELLS, Cell, CellName, Nonlinearity, check_native_cells


def test_each_cell_has_settings_equations_and_a_layer() -> None:
    assert {cell.setting for cell in CELLS} == set(get_args(CellName)) == set(layers.LAYERS)
    assert {cell.nonlinearity for cell in CELLS} == set(get_args(Nonlinearity))
    assert [cell.mode for cell in CELLS] == list(STEPS)
    assert [cell.number for cell in CELLS] == list(range(len(CELLS)))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_gates_and_state_parts_equal_those_of_torch_nn(cell: Cell) -> None:
    options = {"nonlinearity": cell.nonlinearity} if cell.setting == "rnn" else {}
    layer = layers.LAYERS[cell.setting](3, 4, **options)
    assert layer.mode == cell.mode
    assert layer.get_parameter("weight_hh_l0").shape == (4 * cell.gates, 4)
    state = layer.begin_state(1)
    assert (len(state) if isinstance(state, tuple) else 1) == cell.state_parts


def test_a_native_module_with_other_cells_is_refused() -> None:
    built = {cell.name: (cell.number, cell.gates) for cell in CELLS}
    check_native_cells("charloom._kernels", built)
    for other in ({}, built | {"gru": (3, 3), "lstm": (2, 4)}, built | {"mgu": (4, 2)}, built | {"gru": (2, 2)}):
        with pytest.raises(CharloomError, match=r"charloom._kernels was built from another version .*install charloom"):
            check_native_cells("charloom._kernels", other)


@pytest.mark.parametrize("module", ["charloom._kernels", "charloom_codec._codec"])
def test_python_compares_the_cells_at_import(module: str) -> None:
    """A stale build must not pass for "no native code": that would silently change the backend."""
    code = (
        "import sys, types, torch\n"
        f"sys.modules['{module}'] = types.ModuleType('{module}')\n"
        "import charloom.layers, charloom_codec.engines.native\n"
        "charloom.layers.GRU(3, 4)(torch.zeros(1, 1, 3))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"{module} was built from another version" in result.stderr
