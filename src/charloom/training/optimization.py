"""The optimizer of a run, and how its step size goes on."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from charloom.errors import InputError
from charloom.models.language_model import LanguageModel
from charloom.models.predictor import check_weights
from charloom.settings.training import TrainingSettings

_COSINE_WARM_UP_EPOCHS = 0.5
_FIRST_SHARE = 0.02
"""Of the learning rate, where it rises: a first step of nothing would be lost."""


def check_trainable(model: LanguageModel) -> None:
    """Raises InputError for a model whose weights are not finite, or that no optimizer here can change."""
    check_weights(model)
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InputError("weights made in torch.inference_mode cannot be trained: make the model outside")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("all weights are frozen, so that nothing would be trained: call model.requires_grad_()")
    for name, part in model.named_modules():
        if getattr(part, "sparse", False):
            raise InputError(f"{name} gives sparse gradients, which cannot be clipped: set its sparse to False")


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    """Returns SGD or AdamW, with PyTorch's weight decay if none is set.

    On the CPU fused: an update in one pass, on one thread faster than the loop over operations is on two. Fused updates
    go through memory in its order: they are only right for contiguous parameters (and gradients, see
    ``truncated_bptt.train_step``).
    """
    options: Any = {} if settings.weight_decay is None else {"weight_decay": settings.weight_decay}
    parameters = list(parameters)
    if all(p.is_cpu and p.is_contiguous() for p in parameters):
        options["fused"] = True
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, **options)
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, **options)


def state_pattern(settings: TrainingSettings) -> dict[str, int]:
    """Returns the number of dimensions of each tensor that the optimizer keeps of a vector, by name."""
    vector = nn.Parameter(torch.zeros(2, dtype=torch.float32, device="cpu"))
    vector.grad = torch.zeros_like(vector)
    optimizer = make_optimizer([vector], settings)
    optimizer.step()
    return {name: kept.dim() for name, kept in optimizer.state[vector].items() if isinstance(kept, Tensor)}


def set_learning_rate(optimizer: Optimizer, settings: TrainingSettings, epochs: float) -> None:
    """That of the schedule after so many epochs."""
    warm_up = settings.warm_up_epochs
    if warm_up is None:
        warm_up = _COSINE_WARM_UP_EPOCHS if settings.schedule == "cosine" else 0.0
    if settings.schedule == "constant" and not warm_up:
        return  # so that who drives the optimizer otherwise is left alone
    rate = settings.learning_rate * (min(1.0, _FIRST_SHARE + epochs / warm_up) if warm_up else 1.0)
    if settings.schedule == "cosine":
        rate *= 0.5 + 0.5 * math.cos(math.pi * epochs / settings.epochs)
    elif settings.schedule == "step":
        rate *= settings.decay_factor ** (int(epochs) // settings.decay_every)
    for group in optimizer.param_groups:
        group["lr"] = rate
