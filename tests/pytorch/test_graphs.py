"""Graphs taken of a layer: traced, scripted, exported, compiled, quantized; and trained afterwards."""

# mypy: disallow-untyped-calls=False

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

import charloom
from torch_comparison import CELLS, Case, case_for, check, differing, inputs_for, outcome
from torch_graphs import GRAPHS, SLOW_GRAPHS
from torch_transforms import TRANSFORMS
from torch_use_table import USES

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]

_USES = (
    "forward",
    "no grad",
    "training",
    "backward twice",
    "two losses",
    "changed: outputs mul_",
    "view of outputs",
    "inputs: many rows",
    "inputs: many steps",
    "inputs: one step",
)
_FEW = ("forward", "training", "changed: outputs mul_")


@pytest.mark.parametrize("use", _USES)
@pytest.mark.parametrize("graph", GRAPHS)
def test_graph(graph: str, use: str) -> None:
    check(case_for(graph, use), [GRAPHS[graph]], USES[use])


@pytest.mark.parametrize("use", _FEW[:2])
@pytest.mark.parametrize("graph", ["export", "export, no_grad", "compile"])
def test_slow_graph(graph: str, use: str) -> None:
    check(Case("gru", 40), [SLOW_GRAPHS[graph]], USES[use])


@pytest.mark.slow
@pytest.mark.parametrize("use", _USES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("graph", [*GRAPHS, *SLOW_GRAPHS])
def test_graph_of_each_cell(graph: str, cell: str, use: str) -> None:
    torch._dynamo.reset()
    for case in (Case(cell, 40), Case(cell, 32, "all"), Case(cell, 4, "no_bias")):
        check(case, [{**GRAPHS, **SLOW_GRAPHS}[graph]], USES[use])


@pytest.mark.parametrize("cell", CELLS)
def test_a_graph_holds_nothing_that_only_charloom_knows(cell: str) -> None:
    """Or else it runs only where charloom is imported: saved graphs are for where it is not."""
    for grad in (True, False):
        module = charloom.accelerate(Case(cell, 40).layer())
        with torch.set_grad_enabled(grad):
            traced = torch.jit.trace(module, inputs_for(module), check_trace=False)
        assert "charloom::" not in str(traced.inlined_graph)
        assert "charloom::" not in str(torch.jit.script(torch.nn.Sequential(module)).inlined_graph)


@pytest.mark.parametrize("use", ["forward", "training"])
def test_fx_leaves_a_layer_and_its_hooks_alone(use: str) -> None:
    """``spectral_norm`` computes the weight in a hook before ``forward``, which must not run while tracing."""
    for cell in CELLS:
        check(case_for(cell, use), [TRANSFORMS["utils.spectral_norm"], GRAPHS["fx"]], USES[use])


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cell", CELLS)
def test_onnx(cell: str, dynamo: bool, tmp_path: Path) -> None:
    def exported(module: Any) -> Any:
        file = tmp_path / "model.onnx"
        torch.onnx.export(nn.Sequential(module), (inputs_for(module),), file, dynamo=dynamo)
        return [node.op_type for node in onnx.load(file).graph.node]

    expected = outcome(exported, Case(cell, 40).layer())
    assert not list(differing(outcome(exported, charloom.accelerate(Case(cell, 40).layer())), expected))
