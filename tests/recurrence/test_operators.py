"""PyTorch's features on charloom's operators: compile, export, autocast, transforms, double backward, copies."""

import copy
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from charloom import layers
from charloom.layers import read_weights
from charloom.recurrence.torch_internals import can_autocast_lstm, without_one_dnn
from native import INSTRUCTION_SETS, Switch
from torch_wrong_weights import with_memory

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


_CELLS = [layers.RNN, layers.GRU, layers.LSTM]


@pytest.mark.parametrize(
    ("backend", "ways"),
    [("aot_eager", "half"), *(pytest.param(name, "all", marks=pytest.mark.slow) for name in ("aot_eager", "inductor"))],
)
def test_compile_and_export(backend: str, ways: str) -> None:
    """``aot_eager`` runs all of torch.compile except its code generator."""
    script = Path(__file__).parent.parent / "support" / "compiling.py"
    subprocess.run([sys.executable, script, backend, ways], check=True, timeout=900)


@pytest.mark.parametrize("cell", _CELLS)
def test_gradients_of_gradients(cell: Any, compute_by: Switch) -> None:
    layer = cell(3, 4, 2)
    x = torch.randn(5, 2, 3, requires_grad=True)
    state = layer.begin_state(2)
    results = []
    for path in ("auto", "pytorch"):
        compute_by(path)
        outputs, _ = layer(x, state)
        (first,) = torch.autograd.grad(outputs.sin().sum(), x, create_graph=True)
        results.append([first, *torch.autograd.grad(first.square().sum(), [x, *layer.parameters()], allow_unused=True)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def _as_on_any_processor() -> AbstractContextManager[None]:
    """Lets PyTorch's LSTM run under autocast on processors without bfloat16, on which it would raise an error."""
    return nullcontext() if can_autocast_lstm() else without_one_dnn()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", _CELLS)
def test_autocast_equals_pytorchs(cell: Any, bidirectional: bool) -> None:
    """The same dtypes and bits as torch.nn's layer, outputs, states and gradients; no state of it remains."""
    ours = cell(5, 6, 2, bidirectional=bidirectional)
    theirs = cell.__mro__[2](5, 6, 2, bidirectional=bidirectional)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 2, 5)
    plain = ours(x)[0]
    results = []
    for layer in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16), _as_on_any_processor():
            outputs, state = layer(x)
        outputs.float().square().sum().backward()
        results.append([outputs, *_parts(state), *[p.grad for p in layer.parameters()]])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(results[0][0].float(), plain, rtol=0, atol=0.03)
    assert torch.equal(ours(x)[0], plain)


def test_autocast_on_a_processor_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own LSTM raises an error there; without oneDNN, PyTorch computes it in float32."""
    monkeypatch.setattr(read_weights, "can_autocast_lstm", lambda: False)
    layer, x = layers.LSTM(3, 4), torch.randn(5, 2, 3)
    expected = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)[0]
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("cell", _CELLS)
def test_other_dtypes_equal_pytorchs(cell: Any) -> None:
    layer = cell(3, 4)
    x = torch.randn(5, 2, 3)
    assert layer.double()(x.double())[0].dtype == torch.float64
    with pytest.raises((RuntimeError, ValueError), match="dtype"):
        layer(x)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", _CELLS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(cell: Any, mode: Any, bidirectional: bool) -> None:
    """The same bits as with gradients, no graph kept; results of inference mode are accepted; training continues."""
    layer = cell(5, 6, 2, bidirectional=bidirectional)
    x = torch.randn(5, 2, 5)
    expected, state = layer(x, layer(x)[1])
    with mode():
        found, last = layer(x, layer(x)[1])
    for ours, wanted in zip([found, *_parts(last)], [expected, *_parts(state)], strict=True):
        assert torch.equal(ours, wanted)
        assert not ours.requires_grad
        assert ours.is_inference() == (mode is torch.inference_mode)
    with mode():
        assert torch.equal(layer(x.clone(), layer(x)[1])[0], expected)
    layer(x)[0].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


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


def test_empty_batches_are_refused_or_taken_as_by_pytorch() -> None:
    theirs, ours = nn.GRU(3, 4), layers.GRU(3, 4)
    assert ours(torch.zeros(5, 0, 3))[0].shape == theirs(torch.zeros(5, 0, 3))[0].shape
    with pytest.raises(RuntimeError, match="sequence length"):
        ours(torch.zeros(0, 2, 3))


@pytest.mark.parametrize("cell", _CELLS)
@pytest.mark.parametrize("path", ["pytorch", INSTRUCTION_SETS[0] if INSTRUCTION_SETS else ""])
def test_backward_uses_the_kernels_of_forward(cell: Any, path: str, compute_by: Switch) -> None:
    """Whatever the environment is by then: forward's buffers have the layout of its instruction set."""
    layer = cell(3, 40)
    outputs = layer(torch.randn(5, 2, 3))[0].sin().sum()
    expected = torch.autograd.grad(outputs, list(layer.parameters()), retain_graph=True)
    compute_by(path)
    for retain_graph in (True, False):
        found = torch.autograd.grad(outputs, list(layer.parameters()), retain_graph=retain_graph)
        assert all(map(torch.equal, found, expected))


def test_one_dnn_stays_enabled_after_threads_that_disable_it() -> None:
    """The flag is the process's. An LSTM with biases of one element is computed without oneDNN."""
    layer = layers.LSTM(3, 4)
    layer.bias_hh_l0 = nn.Parameter(torch.zeros(1))
    x = torch.randn(5, 2, 3)
    before, interval = torch._C._get_mkldnn_enabled(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(layer, [x] * 400))
        assert torch._C._get_mkldnn_enabled() == before
    finally:
        sys.setswitchinterval(interval)
        torch._C._set_mkldnn_enabled(before)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("size", [0, 16])
@pytest.mark.parametrize("resets", [None, torch.ones(5, 2, dtype=torch.bool)])
@pytest.mark.parametrize("cell", _CELLS)
def test_inputs_whose_memory_was_freed(cell: Any, resets: Any, size: int) -> None:
    """PyTorch reads past the end of some, and crashes for others."""
    layer, x = cell(3, 4), torch.randn(5, 2, 3)
    for arguments in ((with_memory(x, size),), (x, _freed(layer.begin_state(2), size))):
        with pytest.raises(RuntimeError, match="freed or shrunk"):
            layer(*arguments, resets=resets)


def _freed(state: Any, size: int) -> Any:
    parts = tuple(with_memory(part, size) for part in _parts(state))
    return parts if isinstance(state, tuple) else parts[0]
