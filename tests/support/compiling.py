"""Compiles and exports the layers and the model, in a process of its own: ``compiling.py BACKEND HOW``.

HOW is "all" or "half" of the ways to compile or export a layer. In a half each cell is compiled with each value of
each option, and exported once; a transform and the loss are compiled for one cell.

Not under pytest, whose check of types and shapes wraps every call: the compiler would compile the check.
"""

import itertools
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

import charloom
from charloom import layers
from charloom.recurrence import kernel_calls

_CELLS = (layers.RNN, layers.GRU, layers.LSTM)
_COUNTS: Counter[str] = Counter()


def _count_native_calls() -> None:
    layer_forward = kernel_calls.layer_forward

    def counting(*arguments: Any) -> Any:
        _COUNTS["layer_forward"] += 1
        return layer_forward(*arguments)

    kernel_calls.layer_forward = counting  # type: ignore[assignment]


class Classifier(nn.Module):
    """A user's module with a layer inside."""

    def __init__(self, cell: Any, bidirectional: bool) -> None:
        super().__init__()
        self.layer = cell(5, 6, 2, bidirectional=bidirectional)
        self.head = nn.Linear(12 if bidirectional else 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        head: Tensor = self.head(self.layer(x)[0][-1])
        return head


def _with_gradients(module: nn.Module, loss_of: Callable[..., Any], *arguments: Tensor) -> list[Tensor]:
    module.zero_grad()
    result = loss_of(*arguments)
    loss: Tensor = result[0] if isinstance(result, tuple) else result  # LanguageModel.loss returns the state too
    loss.backward()  # type: ignore[no-untyped-call]
    return [loss.detach(), *[p.grad.clone() for p in module.parameters() if p.grad is not None]]


def _sum_of_squares(run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: run(x).square().sum()


def _assert_close(found: Iterable[Tensor], expected: Iterable[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def _graphs(backend: str, seen: list[str]) -> Any:
    """Returns the backend, which also records the graphs that it gets."""
    compile_graph = torch._dynamo.lookup_backend(backend)

    def run(graph: Any, inputs: Any) -> Any:
        seen.append(graph.code)
        return compile_graph(graph, inputs)

    return run


def compile_layers(backend: str, every: bool) -> None:
    """Compiles layers in parts, PyTorch's default for them, and as one graph, which has charloom's operator."""
    for cell, bidirectional, whole in itertools.product(_CELLS, (False, True), (False, True)):
        if not every and (cell is layers.GRU) == (bidirectional == whole):
            continue
        module = Classifier(cell, bidirectional)
        seen: list[str] = []
        torch._dynamo.reset()
        with torch._dynamo.config.patch(allow_rnn=whole):
            compiled = torch.compile(module, backend=_graphs(backend, seen), fullgraph=whole)
            before = _COUNTS["layer_forward"]
            for steps, batch in ((7, 4), (9, 3)):  # the second time PyTorch makes the sizes symbolic
                x = torch.randn(steps, batch, 5)
                found = _with_gradients(module, _sum_of_squares(compiled), x)
                _assert_close(found, _with_gradients(module, _sum_of_squares(module), x))
        assert any("charloom.recurrence" in code for code in seen) == whole, (cell, bidirectional, whole, seen)
        # In both ways the kernels compute: two sizes, compiled and not, two layers.
        assert _COUNTS["layer_forward"] - before == 8 * (2 if bidirectional else 1)


def compile_resets(backend: str) -> None:
    """Compiles a layer with resets into one graph."""
    layer, seen = layers.LSTM(5, 6), list[str]()
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):

        def run(x: Tensor, resets: Tensor) -> Tensor:
            total: Tensor = layer(x, resets=resets)[0].square().sum()
            return total

        compiled = torch.compile(run, backend=_graphs(backend, seen), fullgraph=True)
        for steps, batch in ((7, 4), (9, 3)):
            x, resets = torch.randn(steps, batch, 5), torch.rand(steps, batch) < 0.3
            _assert_close(_with_gradients(layer, compiled, x, resets), _with_gradients(layer, run, x, resets))
    assert any("charloom.recurrence" in code for code in seen)


def compile_transforms(backend: str, every: bool) -> None:
    """Compiles a transform of ``torch.func``, which PyTorch computes."""
    for cell in _CELLS if every else _CELLS[1:2]:
        layer = cell(5, 6)

        def gradient(x: Tensor, layer: Any = layer) -> Any:
            return torch.func.grad(lambda inputs: layer(inputs)[0].sin().sum())(x)

        x = torch.randn(7, 4, 5)
        _assert_close([torch.compile(gradient, backend=backend)(x)], [gradient(x)])


def compile_loss(backend: str, every: bool) -> None:
    """Compiles the whole step, which PyTorch computes then."""
    vocabulary = charloom.Vocabulary.of_text("abcdefghij")
    cells: list[Any] = ["rnn", "gru", "lstm"] if every else ["lstm"]
    for cell in cells:
        settings = charloom.ModelSettings(cell=cell, hidden_size=20, embedding_size=8, init_sigma=0)
        model = charloom.build_model(vocabulary, settings)
        ids, targets = torch.randint(11, (2, 3, 5))
        expected = _with_gradients(model, model.loss, ids, targets)
        compiled = torch.compile(model.loss, backend=backend)
        _assert_close(_with_gradients(model, compiled, ids, targets), expected)


def export_layers(every: bool) -> None:
    """Exports for any number of sequences, in PyTorch's operators, which train even if exported without gradients."""
    for cell, bidirectional in itertools.product(_CELLS, (False, True)):
        if not every and (cell is layers.GRU) == bidirectional:
            continue
        module = Classifier(cell, bidirectional).eval()
        sizes = {"x": {1: torch.export.Dim("batch")}}
        with torch.no_grad():
            exported = torch.export.export(module, (torch.randn(7, 4, 5),), dynamic_shapes=sizes)
        assert "charloom" not in exported.graph_module.code
        x = torch.randn(7, 9, 5)
        trained = exported.module()
        expected = _with_gradients(module, _sum_of_squares(module), x)
        _assert_close(_with_gradients(trained, _sum_of_squares(trained), x), expected)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # torch's own warning, about its compiler
    torch.manual_seed(0)
    torch.set_num_threads(1)
    _count_native_calls()
    backend, every = sys.argv[1], sys.argv[2] == "all"
    compile_layers(backend, every)
    compile_resets(backend)
    compile_transforms(backend, every)
    compile_loss(backend, every)
    export_layers(every)
