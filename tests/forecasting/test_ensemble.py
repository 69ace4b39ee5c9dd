"""Networks that are trained together against each of them trained by PyTorch alone."""

import copy

import pytest
import torch
from torch import Tensor

from charloom.forecasting.ensemble import Ensemble
from charloom.forecasting.network import ResidualNetwork, compute_gaussian_nll
from charloom.settings.forecasting import ForecastSettings
from charloom_codec.cells import CellName

_SETTINGS = ForecastSettings(learning_rate=0.05, weight_decay=0.1)


def _make_networks(cell: CellName, number: int) -> list[ResidualNetwork]:
    """Returns networks that predict something: the weights of a new head are zero."""
    torch.manual_seed(0)
    networks = [ResidualNetwork(cell, 4) for _ in range(number)]
    for network in networks:
        torch.nn.init.normal_(network.head.weight)
        torch.nn.init.normal_(network.head.bias)
    return networks


def _train_alone(network: ResidualNetwork, batches: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=_SETTINGS.learning_rate, weight_decay=_SETTINGS.weight_decay)
    for inputs, targets, fitted in batches:
        prediction, _ = network(inputs)
        losses = fitted * compute_gaussian_nll(tuple(part[-len(targets) :] for part in prediction), targets)
        optimizer.zero_grad()
        (losses.sum() / fitted.sum().clamp(min=1.0)).backward()  # type: ignore[no-untyped-call] # torch's
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_networks_trained_together_equal_networks_trained_alone(cell: CellName) -> None:
    """Targets are large, so that some gradients are clipped; the second network has no targets in one minibatch."""
    networks = _make_networks(cell, 3)
    alone = copy.deepcopy(networks)
    before = copy.deepcopy(networks)
    inputs, targets = torch.randn(2, 3, 7, 5, 2), 10 * torch.randn(2, 3, 4, 5)
    fitted = (torch.rand(2, 3, 4, 5) < 0.7).float()
    fitted[1, 1] = 0.0
    ensemble = Ensemble(networks, _SETTINGS)
    for step in range(2):
        ensemble.train_step(inputs[step].unbind(), targets[step], fitted[step])
    for number, (network, unchanged) in enumerate(zip(networks, before, strict=True)):
        torch.testing.assert_close(network.state_dict(), unchanged.state_dict(), rtol=0, atol=0)
        _train_alone(alone[number], [(inputs[i, number], targets[i, number], fitted[i, number]) for i in range(2)])
    ensemble.copy_to(networks)
    for network, other in zip(networks, alone, strict=True):
        torch.testing.assert_close(network.state_dict(), other.state_dict(), rtol=1e-4, atol=1e-4)


def test_the_weights_are_those_of_the_networks() -> None:
    """Early stopping keeps a copy of the array, and writes it back."""
    ensemble = Ensemble(_make_networks("gru", 2), _SETTINGS)
    saved = ensemble.weights.clone()
    inputs, targets = torch.randn(2, 6, 3, 2), torch.randn(2, 6, 3)
    first = [network(one)[0][0] for network, one in zip(ensemble.networks, inputs, strict=True)]
    ensemble.train_step(inputs.unbind(), targets, torch.ones_like(targets))
    trained = [network(one)[0][0] for network, one in zip(ensemble.networks, inputs, strict=True)]
    ensemble.weights.copy_(saved)
    restored = [network(one)[0][0] for network, one in zip(ensemble.networks, inputs, strict=True)]
    for one, other, again in zip(first, trained, restored, strict=True):
        assert not torch.allclose(one, other)
        assert torch.equal(one, again)
