"""Additions to PyTorch's layers: initial state, weights read by name, precision; and the fallback to PyTorch."""

import pytest
import torch
from torch import nn

from charloom import InputError, SettingsError, layers
from native import Switch


def test_shapes_of_the_initial_state() -> None:
    """The section's (layers, batch, hidden); directions count as layers; an LSTM has a pair."""
    assert layers.RNN(44, 256).begin_state(batch_size=2).shape == (1, 2, 256)  # type: ignore[union-attr]
    assert layers.GRU(5, 6, 3, bidirectional=True).begin_state(4).shape == (6, 4, 6)  # type: ignore[union-attr]
    hidden, memory = layers.LSTM(5, 6, 2, proj_size=3).begin_state(4)
    assert (hidden.shape, memory.shape) == ((2, 4, 3), (2, 4, 6))


def test_zeros_in_the_layers_dtype() -> None:
    state = layers.GRU(5, 6, dtype=torch.float64).begin_state(2)
    assert isinstance(state, torch.Tensor)
    assert state.dtype == torch.float64
    assert not state.any()
    other = layers.GRU(5, 6).begin_state(2, dtype=torch.bfloat16, device="meta")
    assert isinstance(other, torch.Tensor)
    assert (other.dtype, other.device.type) == (torch.bfloat16, "meta")


def test_an_absent_state_is_the_initial_state() -> None:
    layer = layers.LSTM(3, 4, 2)
    inputs = torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(inputs, layer.begin_state(2)), layer(inputs))


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size is 0"):
        layers.RNN(3, 4).begin_state(0)


@pytest.mark.parametrize("device", ["x", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=f"device is '{device}'"):
        layers.GRU(3, 4).begin_state(2, device=device)


@pytest.mark.parametrize("path", ["auto", "reference"])
def test_a_state_of_another_batch_size_is_refused(path: str, compute_by: Switch) -> None:
    compute_by(path)
    layer = layers.RNN(3, 4)
    with pytest.raises(RuntimeError, match="hidden"):
        layer(torch.randn(5, 2, 3), layer.begin_state(1))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_pytorch_computes_what_the_reference_does_not_support(compute_by: Switch) -> None:
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


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_precision_is_refused() -> None:
    layer = layers.LSTM(3, 4)
    assert layer.precision == "float32"
    with pytest.raises(SettingsError, match="precision is 'float16'"):
        layer.precision = "float16"  # type: ignore[assignment]
    assert layer.precision == "float32"


@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_outputs_are_views_if_those_of_pytorch_are(cell: str, batch_first: bool, with_gradients: bool) -> None:
    """Some operations refuse to change a view in place, for example ``detach_``."""
    inputs = torch.randn(3, 4, 5)
    with torch.set_grad_enabled(with_gradients):
        outputs, expected = (getattr(module, cell)(5, 6, batch_first=batch_first)(inputs)[0] for module in (layers, nn))
    assert (outputs._is_view(), outputs.stride()) == (expected._is_view(), expected.stride())
