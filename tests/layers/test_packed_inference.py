"""Packed sequences without gradients: one native call, frozen weights, all precisions, each row as if it were alone."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

import charloom
from charloom import layers
from charloom.recurrence import inference
from charloom.recurrence.threads import use_threads
from examples import examples
from native import INSTRUCTION_SETS, switching
from torch_equivalent import CELLS

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@settings(max_examples=examples(15))
@given(data=st.data())
@torch.no_grad()
def test_a_row_has_the_bits_that_it_has_alone(data: st.DataObject) -> None:
    _, our_class, options = data.draw(st.sampled_from(CELLS))
    input_size, hidden_size = data.draw(st.sampled_from([3, 32])), data.draw(st.sampled_from([3, 32, 40]))
    bidirectional, num_layers = data.draw(st.booleans()), data.draw(st.integers(1, 2))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    layer = our_class(
        input_size, hidden_size, num_layers, bidirectional=bidirectional, bias=data.draw(st.booleans()), **options
    )
    layer.precision = data.draw(st.sampled_from(["float32", "bfloat16", "int8"]))
    if data.draw(st.booleans()):
        charloom.freeze(layer)
    # Also many rows, of which the last steps have few: their inputs are multiplied several steps at a time.
    lengths = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=60))
    rows = [torch.randn(length, input_size) for length in lengths]
    state: Any = None
    if data.draw(st.booleans()):
        zeros = layer.begin_state(len(rows))
        state = tuple(map(torch.randn_like, zeros)) if isinstance(zeros, tuple) else torch.randn_like(zeros)
    with switching() as compute_by, use_threads(data.draw(st.integers(1, 3))):
        compute_by(data.draw(st.sampled_from(INSTRUCTION_SETS)))
        outputs, last = layer(pack_sequence(rows, enforce_sorted=False), state)
        padded, _ = pad_packed_sequence(outputs)
        for b, row in enumerate(rows):
            own = None if state is None else tuple(part[:, b : b + 1] for part in _parts(state))
            alone, own_last = layer(row.unsqueeze(1), own if own is None or isinstance(state, tuple) else own[0])
            assert torch.equal(padded[: len(row), b], alone[:, 0])
            for found, expected in zip(_parts(last), _parts(own_last), strict=True):
                assert torch.equal(found[:, b], expected[:, 0])


@pytest.mark.parametrize("is_frozen", [True, False])
@torch.no_grad()
def test_a_packed_sequence_is_one_native_call(is_frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layer: Any = layers.LSTM(3, 8, 2, bidirectional=True, batch_first=True)
    packed = pack_sequence([torch.randn(length, 3) for length in (2, 5, 1)], enforce_sorted=False)
    expected, _ = layer(packed)
    if is_frozen:
        charloom.freeze(layer)
    calls: list[Any] = []

    def infer(*arguments: Any) -> Any:
        calls.append(inference.infer(*arguments))
        return calls[-1]

    monkeypatch.setattr("charloom.layers.recurrent_layer.infer", infer)
    found, _ = layer(packed)
    assert type(found) is PackedSequence
    assert found.batch_sizes is packed.batch_sizes
    assert torch.equal(found.data, expected.data)
    assert calls[0] is not None
    layer.weight_hh_l0.mul_(0.5)
    changed, _ = layer(packed)
    assert not torch.equal(changed.data, expected.data)


@torch.no_grad()
def test_a_state_of_another_size_raises_the_error_of_pytorch() -> None:
    packed = pack_sequence([torch.randn(length, 3) for length in (5, 2, 1)])
    for kind in (layers, torch.nn):
        with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 3, 4\)"):
            kind.GRU(3, 4)(packed, torch.zeros(1, 2, 4))
