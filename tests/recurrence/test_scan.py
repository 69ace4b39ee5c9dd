"""The equations, over time, layers and directions, against PyTorch's layers."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from charloom import layers
from charloom.recurrence.equations import CellState, CellWeights
from charloom.recurrence.scan import scan_direction, scan_layers
from native import Switch, switching

_CELLS: list[tuple[Callable[..., nn.RNNBase], Callable[..., layers.RecurrentLayer], dict[str, Any]]] = [
    (nn.RNN, layers.RNN, {"nonlinearity": "tanh"}),
    (nn.RNN, layers.RNN, {"nonlinearity": "relu"}),
    (nn.GRU, layers.GRU, {}),
    (nn.LSTM, layers.LSTM, {}),
]


def _results(layer: nn.Module, inputs: Tensor, state: Any) -> list[Tensor]:
    """Returns outputs, last state, and the gradients of inputs, initial state and parameters."""
    inputs = inputs.clone().requires_grad_()
    if state is not None:
        state = tuple(part.clone().requires_grad_() for part in state) if isinstance(state, tuple) else state.clone()
        if not isinstance(state, tuple):
            state.requires_grad_()
    outputs, last = layer(inputs, state)
    lasts = last if isinstance(last, tuple) else (last,)
    # Unequal weights, so that no gradient can be mistaken for another.
    total = sum((part * torch.linspace(-1, 2, part.numel()).view(part.shape)).sum() for part in (outputs, *lasts))
    assert isinstance(total, Tensor)
    states = () if state is None else state if isinstance(state, tuple) else (state,)
    sources = [inputs, *states, *layer.parameters()]
    return [outputs, *lasts, *torch.autograd.grad(total, sources)]


@settings(max_examples=60)
@given(data=st.data())
def test_reference_equals_pytorch(data: st.DataObject) -> None:
    """Outputs, states and every gradient, for sizes and options drawn at random."""
    torch_class, our_class, options = data.draw(st.sampled_from(_CELLS))
    sizes = [data.draw(st.integers(1, 7)) for _ in range(2)]
    batch_first = data.draw(st.booleans())
    options = options | {
        "num_layers": data.draw(st.integers(1, 3)),
        "bias": data.draw(st.booleans()),
        "bidirectional": data.draw(st.booleans()),
        "batch_first": batch_first,
    }
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    theirs = torch_class(*sizes, dtype=torch.float64, **options)
    ours = our_class(*sizes, dtype=torch.float64, **options)
    ours.load_state_dict(theirs.state_dict())
    num_steps, batch_size = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    shape = (batch_size, num_steps) if batch_first else (num_steps, batch_size)
    inputs = torch.randn(*shape, sizes[0], dtype=torch.float64)
    state = None
    if data.draw(st.booleans()):
        zeros = ours.begin_state(batch_size)
        state = tuple(torch.randn_like(z) for z in zeros) if isinstance(zeros, tuple) else torch.randn_like(zeros)
    expected = _results(theirs, inputs, state)
    with switching() as compute_by:
        for path in ("reference", "auto"):
            compute_by(path)
            found = _results(ours, inputs, state)
            assert len(found) == len(expected)
            for ours_tensor, theirs_tensor in zip(found, expected, strict=True):
                torch.testing.assert_close(ours_tensor, theirs_tensor, rtol=1e-9, atol=1e-11)


def test_dropout_between_layers_only(compute_by: Switch) -> None:
    """With everything dropped, the top layer of two sees zeros; of a single layer, nothing is dropped."""
    compute_by("reference")
    inputs = torch.randn(3, 2, 4)
    layer = layers.GRU(4, 5, 2, dropout=1.0)
    outputs, _ = layer(inputs)
    torch.testing.assert_close(outputs, layer(torch.randn(3, 2, 4))[0])
    layer.eval()
    assert not torch.allclose(layer(inputs)[0], outputs)


def _adding(x: Tensor, state: CellState, _: CellWeights) -> CellState:
    """Computes a step of a cell whose hidden state is ten times the previous one plus the input."""
    return (10 * state[0] + x,)


_NO_WEIGHTS = CellWeights(torch.empty(0), torch.empty(0), None, None)


def test_a_direction_is_read_in_its_order_and_written_in_that_of_the_inputs() -> None:
    inputs = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    for backward, outputs in ((False, [1, 12, 123]), (True, [321, 32, 3])):
        found, (last,) = scan_direction(_adding, inputs, (torch.zeros(1, 1),), _NO_WEIGHTS, backward)
        assert found.flatten().tolist() == outputs
        assert last.item() == outputs[0 if backward else -1]


def test_each_layer_reads_both_directions_of_the_one_below_and_has_a_state_of_its_own() -> None:
    def run(x: Tensor, state: CellState, _: CellWeights, backward: bool) -> tuple[Tensor, CellState]:
        return scan_direction(_adding, x.sum(-1, keepdim=True), state, _NO_WEIGHTS, backward)

    inputs = torch.tensor([1.0, 2.0]).reshape(2, 1, 1)
    states = torch.tensor([0.0, 0.0, 5.0, 7.0]).reshape(4, 1, 1)
    outputs, (last,) = scan_layers(run, inputs, (states,), [_NO_WEIGHTS] * 4, bidirectional=True)
    # Below: forward 1, 12; backward 21, 2; so the layer above reads 22, 14.
    assert last.flatten().tolist() == [12, 21, (50 + 22) * 10 + 14, (70 + 14) * 10 + 22]
    assert outputs.flatten(1).tolist() == [[72, 862], [734, 84]]
