"""Residual networks that are trained together: their weights are in one array, and they share a loss and an optimizer.

``network_training`` makes the minibatches and chooses the number of epochs.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from charloom.forecasting.network import ResidualNetwork, compute_gaussian_nll, limit_log_variance
from charloom.settings.forecasting import ForecastSettings

_MAX_NORM = 1.0
"""Limit of the norm of each network's gradient."""


class Ensemble:
    """Networks that share no weights and are trained together.

    Most of the time of operations on small tensors is that of their calls. All operations but those of the recurrent
    layers are therefore one call for all networks.

    Args:
        networks: Networks of the same sizes. Their weights are copied, and ``copy_to`` returns the trained ones.
        settings: Hyperparameters of the optimizer.

    Attributes:
        networks: The networks as trained until now.
        weights: Their weights, in the order of ``parameters()``: (networks, weights).
    """

    def __init__(self, networks: Sequence[ResidualNetwork], settings: ForecastSettings) -> None:
        self.weights = torch.stack([parameters_to_vector(one.parameters()) for one in networks]).detach()
        self.weights.grad = torch.zeros_like(self.weights)
        self.networks = copy.deepcopy(list(networks))
        for network, weights, gradients in zip(self.networks, self.weights, self.weights.grad, strict=True):
            # Each parameter becomes a view of its part of the array, and its gradient one of the array's gradient.
            vector_to_parameters(weights, network.parameters())
            parts = gradients.split([parameter.numel() for parameter in network.parameters()])
            for parameter, part in zip(network.parameters(), parts, strict=True):
                parameter.grad = part.view_as(parameter)
        self._optimizer = torch.optim.AdamW(
            [self.weights], lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )

    def train_step(self, inputs: Sequence[Tensor], targets: Tensor, fitted: Tensor) -> None:
        """Trains each network for one step on its minibatch.

        Args:
            inputs: Inputs of each network, (steps, batch, 2), as in ``ResidualNetwork.forward``.
            targets: Residuals of the last steps: (networks, last steps, batch).
            fitted: 1 for targets to train on, else 0: (networks, last steps, batch).
        """
        assert self.weights.grad is not None
        self.weights.grad.zero_()
        outputs = torch.stack([network.layer(one)[0] for network, one in zip(self.networks, inputs, strict=True)])
        heads = torch.stack([network.head.weight for network in self.networks])
        biases = torch.stack([network.head.bias for network in self.networks])
        # One product for all heads: (networks, last steps * batch, 2).
        found = torch.baddbmm(biases[:, None], outputs[:, -targets.shape[1] :].flatten(1, 2), heads.mT)
        prediction = limit_log_variance(found.view(*targets.shape, 2), self.networks[0].max_log_variance)
        losses = fitted * compute_gaussian_nll(prediction, targets)
        # A network without targets in its minibatch has a loss of 0, not 0 / 0.
        loss = (losses.sum((1, 2)) / fitted.sum((1, 2)).clamp(min=1.0)).sum()
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        norms = self.weights.grad.norm(dim=1, keepdim=True)
        # As torch.nn.utils.clip_grad_norm_, for each network by itself.
        self.weights.grad *= (_MAX_NORM / (norms + 1e-6)).clamp(max=1.0)
        self._optimizer.step()

    def copy_to(self, networks: Sequence[ResidualNetwork]) -> None:
        """Copies the weights to other networks of the same sizes."""
        for trained, network in zip(self.networks, networks, strict=True):
            network.load_state_dict(trained.state_dict())
