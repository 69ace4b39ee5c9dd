"""The section's model written by hand: displayed by ``from_scratch.md``, measured by ``experiments.from_scratch``."""

import torch
from torch import Tensor


class ScratchModel(torch.nn.Module):
    """Plain RNN with one-hot input and a dense output layer, written with matrix products, sums and tanh only."""

    def __init__(self, vocabulary_size: int, num_hiddens: int, sigma: float = 0.01) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size

        def normal(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(shape) * sigma)

        self.W_xh, self.W_hh = normal(vocabulary_size, num_hiddens), normal(num_hiddens, num_hiddens)
        self.b_h = torch.nn.Parameter(torch.zeros(num_hiddens))
        self.W_hq = normal(num_hiddens, vocabulary_size)
        self.b_q = torch.nn.Parameter(torch.zeros(vocabulary_size))

    def begin_state(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, len(self.b_h))

    def forward(self, ids: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
        """Maps ids (batch, steps) to logits (steps, batch, vocabulary) and the last hidden state (batch, hidden)."""
        outputs = []
        for X in torch.nn.functional.one_hot(ids.T, self.vocabulary_size).float():  # one time step: (batch, vocabulary)
            H = torch.tanh(X @ self.W_xh + H @ self.W_hh + self.b_h)
            outputs.append(H @ self.W_hq + self.b_q)
        return torch.stack(outputs), H


def train_step(model: torch.nn.Module, ids: Tensor, targets: Tensor, state: Tensor) -> tuple[float, Tensor]:
    """Takes one step of gradient descent, clipped to norm 1. Returns the loss and the detached state."""
    logits, state = model(ids, state)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.T.flatten())
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    norm = float(torch.stack([(gradient**2).sum() for gradient in gradients]).sum().sqrt())
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient * min(1.0, 1.0 / norm))  # learning rate 1
    return loss.item(), state.detach()
