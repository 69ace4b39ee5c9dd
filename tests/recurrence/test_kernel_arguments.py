"""Shapes that the kernels read, against PyTorch's modules; addresses of tensors that fit only."""

from typing import Any

import pytest
import torch
from torch import Tensor

from charloom import ModelSettings, Vocabulary, build_model
from charloom.recurrence.kernel_arguments import (
    KernelArgumentError,
    LayerShape,
    ModelShape,
    address,
    address_of_new,
    addresses,
    cell_state_address,
    dense_address,
    parameter_addresses,
    state_addresses,
)
from charloom_codec.cells import CELLS, Cell

pytestmark = pytest.mark.usefixtures("unchecked")
_VOCABULARY = Vocabulary.of_text("abcdef")


@pytest.mark.parametrize("embedding_size", [None, 4])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_shapes_are_those_of_a_models_parameters(cell: Cell, embedding_size: int | None) -> None:
    settings = ModelSettings(cell.setting, cell.nonlinearity, 5, num_layers=2, embedding_size=embedding_size)
    model = build_model(_VOCABULARY, settings)
    shape = ModelShape(cell.number, 5, 2, len(_VOCABULARY), embedding_size or 0)
    first = (len(_VOCABULARY), embedding_size or 0)
    of_layers = [tuple(p.shape) for p in (*model.layer.parameters(), *model.output.parameters())]
    assert shape.parameters == [first, *of_layers]
    assert LayerShape(cell.number, 0, 7, 2, model.layer.input_size, 5).weights == of_layers[:4]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_only_an_lstm_has_a_cell_state(cell: Cell) -> None:
    shape = LayerShape(cell.number, 0, steps=7, batch=2, inputs=3, hidden=5)
    c = torch.zeros(2, 5)
    assert cell_state_address(shape, c) == (c.data_ptr() if cell.name == "lstm" else 0)


def test_the_address_is_that_of_the_first_element() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    assert dense_address(whole[1]) == whole.data_ptr() + 16
    assert address(whole, (3, 4)) == address(whole, None) == address_of_new(whole) == whole.data_ptr()
    assert address(whole.t(), (4, 3), contiguous=False) == whole.data_ptr()
    assert address_of_new(None) == dense_address(None) == 0


class _Subclass(Tensor):
    pass


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 3, dtype=torch.float64),
        torch.zeros(2, 3, device="meta"),
        torch.zeros(2, 3).to_sparse(),
        torch._neg_view(torch.zeros(2, 3)),
        torch.zeros(2, 3).as_subclass(_Subclass),
    ],
    ids=["float64", "meta", "sparse", "negative by a bit", "subclass"],
)
def test_a_tensor_that_kernels_cannot_read_has_no_address(tensor: Tensor) -> None:
    assert dense_address(tensor) == 0
    with pytest.raises(KernelArgumentError, match=r"expect a contiguous torch.float32 tensor \(2, 3\) on the CPU, not"):
        address(tensor, (2, 3))


def test_the_refusal_describes_the_tensor() -> None:
    for wrong, message in (
        (torch.zeros(3, 2), r"not torch.float32 \(3, 2\) on cpu, strides \(2, 1\)"),
        (torch.zeros(3, 2).t(), r"not torch.float32 \(2, 3\) on cpu, strides \(1, 2\)"),
        (None, "not NoneType"),
    ):
        with pytest.raises(KernelArgumentError, match=message):
            address(wrong, (2, 3))


def test_only_a_bias_or_an_empty_embedding_may_be_missing() -> None:
    weight, bias = torch.zeros(2, 3), torch.zeros(2)
    assert addresses([weight, None, None], [(2, 3), (2,), (5, 0)]) == [weight.data_ptr(), 0, 0]
    with pytest.raises(KernelArgumentError, match="not NoneType"):
        addresses([None, bias], [(2, 3), (2,)])
    with pytest.raises(KernelArgumentError, match="expect 2 tensors, not 1"):
        addresses([weight], [(2, 3), (2,)])
    shape = ModelShape(0, 2, 1, 3, 0)
    parameters: list[Any] = [None, *(torch.zeros(size) for size in shape.parameters[1:])]
    assert parameter_addresses(parameters, shape)[0] == 0
    with pytest.raises(KernelArgumentError, match="not NoneType"):
        parameter_addresses([*parameters[:-1], None], shape)  # the output layer's bias


def test_a_state_has_the_parts_of_its_cell() -> None:
    h, c = torch.zeros(2, 3, 5), torch.ones(2, 3, 5)
    gru, lstm = ModelShape(2, 5, 2, 7, 0), ModelShape(3, 5, 2, 7, 0)
    assert state_addresses(gru, 3, [h]) == (h.data_ptr(), 0)
    assert state_addresses(lstm, 3, [h, c]) == (h.data_ptr(), c.data_ptr())
    with pytest.raises(KernelArgumentError, match="the LSTM state must have 2 tensors, not 1"):
        state_addresses(lstm, 3, [h])
    with pytest.raises(KernelArgumentError, match=r"\(2, 4, 5\)"):
        state_addresses(gru, 4, [h])
