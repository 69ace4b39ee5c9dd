"""The equations, carried over time, layers and directions, against PyTorch's own layers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from charloom import layers
from native import Switch, switching

_CELLS: list[tuple[Callable[..., nn.RNNBase], Callable[..., layers.RecurrentLayer], dict[str, Any]]] = [
    (nn.RNN, layers.RNN, {"nonlinearity": "tanh"}),
    (nn.RNN, layers.RNN, {"nonlinearity": "relu"}),
    (nn.GRU, layers.GRU, {}),
    (nn.LSTM, layers.LSTM, {}),
]


def _results(layer: nn.Module, inputs: Tensor, state: Any) -> list[Tensor]:
    """Outputs, last state, and the gradients of inputs, initial state and parameters."""
    inputs = inputs.clone().requires_grad_()
    if state is not None:
        state = tuple(part.clone().requires_grad_() for part in state) if isinstance(state, tuple) else state.clone()
        if not isinstance(state, tuple):
            state.requires_grad_()
    outputs, last = layer(inputs, state)
    lasts = last if isinstance(last, tuple) else (last,)
    # Unequal weights, so that no two gradients can stand for each other.
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


@pytest.mark.parametrize(("our_class", "kind"), [(layers.RNN, nn.RNN), (layers.GRU, nn.GRU), (layers.LSTM, nn.LSTM)])
def test_layers_are_torchs(our_class: Any, kind: Any) -> None:
    """A drop-in: an instance of torch's class with its parameters, in its order."""
    layer, theirs = our_class(3, 4, 2, bidirectional=True), kind(3, 4, 2, bidirectional=True)
    assert isinstance(layer, kind)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        (name, p.shape) for name, p in theirs.named_parameters()
    ]


def test_dropout_between_layers_only(compute_by: Switch) -> None:
    """With everything dropped, the top layer of two sees zeros; of one layer, nothing is dropped."""
    compute_by("reference")
    inputs = torch.randn(3, 2, 4)
    layer = layers.GRU(4, 5, 2, dropout=1.0)
    outputs, _ = layer(inputs)
    torch.testing.assert_close(outputs, layer(torch.randn(3, 2, 4))[0])
    layer.eval()
    assert not torch.allclose(layer(inputs)[0], outputs)


@pytest.mark.parametrize("path", ["auto", "reference"])
def test_a_state_of_another_batch_is_refused(path: str, compute_by: Switch) -> None:
    compute_by(path)
    layer = layers.RNN(3, 4)
    with pytest.raises(RuntimeError, match="hidden"):
        layer(torch.randn(5, 2, 3), layer.begin_state(1))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_what_the_reference_does_not_cover_is_pytorchs(compute_by: Switch) -> None:
    """Packed and unbatched inputs, and projections."""
    theirs = nn.LSTM(3, 4, proj_size=2)
    ours = layers.LSTM(3, 4, proj_size=2)
    ours.load_state_dict(theirs.state_dict())
    plain = layers.LSTM(3, 4)
    inputs = torch.randn(5, 2, 3)
    packed = nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor([5, 3]))
    whole = plain(inputs)[0]
    compute_by("reference")
    torch.testing.assert_close(ours(inputs)[0], theirs(inputs)[0])
    torch.testing.assert_close(plain(inputs[:, 0])[0], whole[:, 0])
    unpacked, lengths = nn.utils.rnn.pad_packed_sequence(plain(packed)[0])
    assert lengths.tolist() == [5, 3]
    torch.testing.assert_close(unpacked[:3], whole[:3])
