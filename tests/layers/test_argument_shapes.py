"""Arguments that do not fit a layer's options."""

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from charloom import layers
from charloom.errors import InputError
from charloom.layers.argument_shapes import arguments_fit, weights_fit
from charloom.layers.read_weights import named_weights

_INPUTS = torch.zeros(3, 2, 4)


@pytest.mark.parametrize(
    ("inputs", "hx", "fit"),
    [
        (_INPUTS, None, True),
        (_INPUTS, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)), True),
        (_INPUTS, [torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)], False),
        (_INPUTS, (torch.zeros(1, 2, 5),), False),
        (_INPUTS, (torch.zeros(1, 2, 5), torch.zeros(1, 1, 5)), False),
        (_INPUTS[0], None, False),
        (_INPUTS[..., :3], None, False),
        (_INPUTS.numpy(), None, False),
    ],
)
def test_arguments_that_fit_and_that_do_not(inputs: Any, hx: Any, fit: bool) -> None:
    assert arguments_fit(layers.LSTM(4, 5), inputs, None, hx) is fit


def test_weights_that_fit_and_that_do_not() -> None:
    layer = layers.GRU(4, 5, 2, bidirectional=True)
    weights = named_weights(layer)
    assert weights is not None
    assert weights_fit(layer, weights)
    assert not weights_fit(layer, [weights[0], weights[1], weights[1], weights[3]])
    assert not weights_fit(layer, [weights[0]._replace(input_bias=torch.zeros(1)), *weights[1:]])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize(
    ("resets", "message"),
    [
        (torch.zeros(3, 2), r"torch\.bool tensor \(steps, batch\) = \(3, 2\), not torch\.float32 \(3, 2\)"),
        (torch.zeros(2, 3, dtype=torch.bool), r"not torch\.bool \(2, 3\)"),
        (torch.zeros(3, dtype=torch.bool), r"not torch\.bool \(3,\)"),
        (torch.zeros(3, 2, 1, dtype=torch.bool), r"not torch\.bool \(3, 2, 1\)"),
        (torch.zeros(3, 2, dtype=torch.bool).to_sparse(), r"not torch\.sparse_coo torch\.bool \(3, 2\)"),
        ([[True, False]] * 3, "not list"),
        (True, "not bool"),
        (torch.zeros(3, 2, dtype=torch.bool, device="meta"), "resets are on meta, but the input is on cpu"),
    ],
)
def test_resets_that_do_not_fit_are_refused(resets: Any, message: str, with_gradients: bool) -> None:
    with torch.set_grad_enabled(with_gradients), pytest.raises(InputError, match=message):
        layers.LSTM(4, 5)(_INPUTS, resets=resets)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_resets_need_a_padded_batch() -> None:
    mask = torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(InputError, match="not a PackedSequence: omit them, and pack each sequence"):
        layers.GRU(4, 5)(pack_sequence([torch.zeros(2, 4)]), resets=mask)
    with pytest.raises(InputError, match="3 dimensions: add a batch dimension"):
        layers.GRU(4, 5)(torch.zeros(3, 4), resets=mask[:, 0])
    with pytest.raises(InputError, match="proj_size"):
        layers.LSTM(4, 5, proj_size=2)(_INPUTS, resets=mask)


@pytest.mark.parametrize("path", ["auto", "pytorch"])
def test_other_arguments_raise_the_error_of_pytorch_with_resets_too(path: str, compute_by: Any) -> None:
    compute_by(path)
    layer, mask = layers.GRU(4, 5), torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        layer(_INPUTS, torch.zeros(1, 1, 5), resets=mask)
    with pytest.raises(InputError, match="initial state of this layer must be a tensor"):
        layer(_INPUTS, [torch.zeros(1, 2, 5)], resets=mask)
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        layer(_INPUTS[..., :3], resets=mask)
    with pytest.raises(InputError, match="at least one time step"):
        layer(_INPUTS[:0], resets=mask[:0])
    del layer.weight_hh_l0
    layer.weight_hh_l0 = torch.nn.Parameter(torch.zeros(15, 1))
    with pytest.raises(InputError, match="weights do not have the shapes"):
        layer(_INPUTS, resets=mask)
