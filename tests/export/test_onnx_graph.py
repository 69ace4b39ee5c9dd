"""ONNX graphs of recurrent layers: the options of ``torch.nn``, any sizes, old versions of the format."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import charloom
from onnx_session import assert_equal_in_onnx, exported

_CELLS: list[tuple[str, dict[str, Any]]] = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("GRU", {}), ("LSTM", {})]
_OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 3},
    {"bias": False},
    {"batch_first": True},
    {"bidirectional": True},
    {"bidirectional": True, "num_layers": 2, "batch_first": True},
    {"bidirectional": True, "bias": False, "num_layers": 2, "dropout": 0.5},
]


@pytest.mark.parametrize("options", _OPTIONS, ids=str)
@pytest.mark.parametrize(("cell", "of_cell"), _CELLS)
def test_options_of_a_layer(cell: str, of_cell: dict[str, Any], options: dict[str, Any], tmp_path: Path) -> None:
    """The layer of ``torch.nn`` and charloom's, over 1,000 steps if one direction is all: no state passes back."""
    torch.manual_seed(0)
    for module in (nn, charloom.layers):
        layer = getattr(module, cell)(5, 8, **of_cell, **options)
        chunks = [torch.randn(*((3, n) if layer.batch_first else (n, 3)), 5) for n in (1, 1, 13, 985)]
        assert_equal_in_onnx(layer, exported(layer, tmp_path), *chunks)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_size(data: st.DataObject, tmp_path: Path) -> None:
    cell, of_cell = data.draw(st.sampled_from(_CELLS))
    inputs, hidden, layers, batch, length = (data.draw(st.integers(1, high)) for high in (9, 9, 3, 5, 20))
    flags = {name: data.draw(st.booleans()) for name in ("bias", "batch_first", "bidirectional")}
    torch.manual_seed(0)
    layer = getattr(nn, cell)(inputs, hidden, layers, **of_cell, **flags)
    steps = torch.randn(*((batch, length) if layer.batch_first else (length, batch)), inputs)
    assert_equal_in_onnx(layer, exported(layer, tmp_path), steps, steps * 2)


def test_names_and_shapes(tmp_path: Path) -> None:
    session = exported(nn.LSTM(5, 8, 2, bidirectional=True, batch_first=True), tmp_path).session
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("input", ["batch", "time", 5]),
        ("h_0", [4, "batch", 8]),
        ("c_0", [4, "batch", 8]),
    ]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("output", ["batch", "time", 16]),
        ("h_n", [4, "batch", 8]),
        ("c_n", [4, "batch", 8]),
    ]


def test_the_format_is_one_that_old_runtimes_read(tmp_path: Path) -> None:
    exported(nn.GRU(5, 8), tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    assert (model.ir_version, [(one.domain, one.version) for one in model.opset_import]) == (7, [("", 14)])
    assert (model.producer_name, model.producer_version) == ("charloom", charloom.__version__)


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    vocabulary = charloom.Vocabulary("abcdefgh")
    model = charloom.LanguageModel(charloom.layers.GRU(8, 8), vocabulary, embedding_size=8, tied_output=True)
    exported(model, tmp_path)
    tensors = onnx.load(tmp_path / "model.onnx").graph.initializer
    floats = sum(torch.Size(one.dims).numel() for one in tensors if one.data_type == onnx.TensorProto.FLOAT)
    assert floats == sum(parameter.numel() for parameter in model.parameters())


def test_the_graph_does_not_change_with_the_module(tmp_path: Path) -> None:
    """It holds a copy of the weights."""
    layer: Any = nn.GRU(5, 8)
    steps = torch.randn(4, 2, 5)
    before, _ = layer(steps)
    session = exported(layer, tmp_path)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    torch.testing.assert_close(session(steps)[0], before.detach(), atol=1e-5, rtol=0)
