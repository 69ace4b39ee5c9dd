"""What PyTorch does with operators, done with ours: compile, export, autocast, transforms, double backward, copies."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from charloom import layers
from native import INSTRUCTION_SETS

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


class _Classifier(nn.Module):
    """A user's module with a layer inside."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.layer = cell(5, 6, 2, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        head: Tensor = self.head(self.layer(x)[0][-1])
        return head


_CELLS = [layers.RNN, layers.GRU, layers.LSTM]


def _loss_and_gradients(module: nn.Module, run: Any, x: Tensor) -> list[Tensor]:
    module.zero_grad()
    loss = run(x).square().sum()
    loss.backward()
    return [loss.detach(), *[p.grad.clone() for p in module.parameters() if p.grad is not None]]


@pytest.mark.parametrize("cell", _CELLS)
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("whole", [False, True])
def test_compile(cell: Any, whole: bool) -> None:
    """``aot_eager`` runs all of torch.compile but its code generator.

    Recurrent layers end a graph unless PyTorch is told to trace them; ours then are traced with their backward.
    """
    module = _Classifier(cell)
    x = torch.randn(7, 4, 5)
    expected = _loss_and_gradients(module, module, x)
    with torch._dynamo.config.patch(allow_rnn=whole):
        compiled = torch.compile(module, backend="aot_eager", fullgraph=whole)
        results = _loss_and_gradients(module, compiled, x)
    for found, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compile_to_code() -> None:
    module = _Classifier(layers.LSTM)
    x = torch.randn(7, 4, 5)
    expected = _loss_and_gradients(module, module, x)
    for found, wanted in zip(_loss_and_gradients(module, torch.compile(module), x), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("cell", _CELLS)
@pytest.mark.filterwarnings("ignore")
def test_export(cell: Any) -> None:
    module = _Classifier(cell).eval()
    x = torch.randn(7, 4, 5)
    exported = torch.export.export(module, (x,))
    assert any("charloom" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(x), module(x))


@pytest.mark.parametrize("cell", _CELLS)
def test_gradients_of_gradients(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = cell(3, 4, 2)
    x = torch.randn(5, 2, 3, requires_grad=True)
    state = layer.begin_state(2)
    results = []
    for path in ("auto", "pytorch"):
        monkeypatch.setenv("CHARLOOM_KERNELS", path)
        outputs, _ = layer(x, state)
        (first,) = torch.autograd.grad(outputs.sin().sum(), x, create_graph=True)
        results.append([first, *torch.autograd.grad(first.square().sum(), [x, *layer.parameters()], allow_unused=True)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", _CELLS)
def test_autocast_and_other_types_are_pytorchs(cell: Any) -> None:
    """Their outputs have the types that PyTorch's layers give them."""
    layer = cell(3, 4)
    x = torch.randn(5, 2, 3)
    plain = layer(x)[0]
    theirs = cell.__mro__[2](3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = layer(x)[0]
        assert outputs.dtype == theirs(x)[0].dtype
    torch.testing.assert_close(outputs.float(), plain, rtol=0, atol=0.03)
    assert layer.double()(x.double())[0].dtype == torch.float64
    with pytest.raises((RuntimeError, ValueError), match="dtype"):
        layer(x)


@pytest.mark.filterwarnings("ignore")
def test_function_transforms() -> None:
    layer = layers.GRU(3, 4)
    x = torch.randn(5, 2, 3)
    copied = x.clone().requires_grad_()
    (whole,) = torch.autograd.grad(layer(copied)[0][-1].sum(), copied)
    by_transform = torch.func.grad(lambda z: layer(z)[0][-1].sum())(x)
    torch.testing.assert_close(by_transform, whole)


@pytest.mark.parametrize("cell", _CELLS)
def test_copies_and_pickles(cell: Any) -> None:
    layer = cell(3, 4)
    layer.precision = "bfloat16"
    x = torch.randn(5, 2, 3)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert other.precision == "bfloat16"
        torch.testing.assert_close(other(x)[0], layer(x)[0], rtol=0, atol=0)


def test_empty_batches_are_pytorchs_to_refuse_or_take() -> None:
    theirs, ours = nn.GRU(3, 4), layers.GRU(3, 4)
    assert ours(torch.zeros(5, 0, 3))[0].shape == theirs(torch.zeros(5, 0, 3))[0].shape
    with pytest.raises(RuntimeError, match="sequence length"):
        ours(torch.zeros(0, 2, 3))
