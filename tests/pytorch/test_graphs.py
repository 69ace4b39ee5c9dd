"""Graphs of a layer: traced, scripted, exported, compiled, quantized; and trained afterwards."""

# mypy: disallow-untyped-calls=False

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from torch.fx import _symbolic_trace
from torch.fx.experimental.proxy_tensor import make_fx

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


def _pairs() -> Iterator[tuple[str, str]]:
    """Yields for each graph three uses, and a third of the others in turn; ``slow`` tries them all."""
    for i, graph in enumerate(GRAPHS):
        for j, use in enumerate(_USES):
            if use in _FEW or (i + j) % 3 == 0:
                yield graph, use


@pytest.mark.parametrize(("graph", "use"), list(_pairs()))
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
def test_a_graph_contains_only_operators_of_pytorch(cell: str) -> None:
    """Otherwise it would run only with charloom imported, but saved graphs are for use without it."""
    for grad in (True, False):
        module = charloom.accelerate(Case(cell, 40).layer())
        with torch.set_grad_enabled(grad):
            traced = torch.jit.trace(module, inputs_for(module), check_trace=False)
            recorded = make_fx(module, pre_dispatch=True)(inputs_for(module))
        assert "charloom::" not in str(traced.inlined_graph)
        assert "charloom" not in recorded.code
        assert "charloom::" not in str(torch.jit.script(torch.nn.Sequential(module)).inlined_graph)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("accelerated", [True, False])
def test_a_scripted_layer_stays_charlooms(cell: str, accelerated: bool) -> None:
    """TorchScript leaves PyTorch's class behind, without a report when it is done."""
    uses: list[Callable[[Any], Any]] = [
        lambda layer: layer.begin_state(2),
        lambda layer: layer(inputs_for(layer)),
        copy.deepcopy,
        lambda layer: pickle.loads(pickle.dumps(layer)),
        lambda layer: copy.deepcopy(nn.Sequential(layer))[0],
    ]
    for use_layer in uses:
        layer: Any = Case(cell, 40).layer()
        layer = charloom.accelerate(layer) if accelerated else _of_charloom(layer)
        layer.precision = "bfloat16"
        kind, members = type(layer), vars(layer).keys() | {"__overloads__", "_compiled_call_impl"}
        torch.jit.script(nn.Sequential(layer))
        assert layer.precision == "bfloat16"
        layer.precision = "float32"
        made = use_layer(layer)
        for used in (layer, made) if isinstance(made, nn.Module) else (layer,):
            assert type(used) is kind
            assert used.precision == "float32"
            assert vars(used).keys() <= members


def _of_charloom(layer: Any) -> Any:
    kind = getattr(charloom.layers, type(layer).__name__)
    options = {"nonlinearity": layer.nonlinearity} if isinstance(layer, nn.RNN) else {}
    return kind(layer.input_size, layer.hidden_size, **options)


def test_a_language_model_is_not_scripted() -> None:
    """The refusal leaves it unchanged."""
    vocabulary = charloom.Vocabulary.of_text("abc")
    model = charloom.LanguageModel(charloom.layers.GRU(len(vocabulary), 4), vocabulary)
    for module in (model, nn.Sequential(model)):
        with pytest.raises(charloom.InputError, match=r"jit\.script does not support LanguageModel"):
            torch.jit.script(module)
        assert copy.deepcopy(model).begin_state(2).shape == (1, 2, 4)  # type: ignore[union-attr] # a GRU's


class _FromState(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.inputs = inputs_for(layer)  # FX makes no proxy for these

    def forward(self, state: Any) -> Any:
        return self.layer(self.inputs, state)


@pytest.mark.parametrize("cell", CELLS)
def test_fx_of_a_state_alone(cell: str) -> None:
    module = _FromState(_of_charloom(Case(cell, 40).layer()))
    state = module.layer.begin_state(2)
    if cell == "lstm":
        graph = torch.fx.symbolic_trace(module, concrete_args={"state": (_symbolic_trace.PH, _symbolic_trace.PH)})
    else:
        graph = torch.fx.symbolic_trace(module)
    assert "call_module" in [node.op for node in graph.graph.nodes]
    assert not list(differing(graph(state)[0], module(state)[0]))


@pytest.mark.parametrize("use", ["forward", "training"])
def test_fx_leaves_a_layer_and_its_hooks_unchanged(use: str) -> None:
    """``spectral_norm`` computes the weight in a hook before ``forward``, which must not run during tracing."""
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


@pytest.mark.parametrize("cell", CELLS)
def test_fx_keeps_the_arguments_of_the_call(cell: str) -> None:
    class Model(nn.Module):
        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any, state: Any) -> Any:
            return self.layer(self.layer(x)[0], hx=state)

    layer = Case(cell).layer()
    assert torch.fx.symbolic_trace(Model(_of_charloom(layer))).code == torch.fx.symbolic_trace(Model(layer)).code
