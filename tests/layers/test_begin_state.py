import pytest
import torch

from charloom import InputError, layers


def test_shapes() -> None:
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


def test_is_what_an_absent_state_means() -> None:
    layer = layers.LSTM(3, 4, 2)
    inputs = torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(inputs, layer.begin_state(2)), layer(inputs))


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size is 0"):
        layers.RNN(3, 4).begin_state(0)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="device is 'x'"):
        layers.GRU(3, 4).begin_state(2, device="x")
