"""The optimizer of a run, and how its step size goes on."""

import math
from collections.abc import Iterable

import torch
from torch import nn
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
    parameters = list(parameters)
    kind, usual_decay = (torch.optim.SGD, 0.0) if settings.optimizer == "sgd" else (torch.optim.AdamW, 0.01)
    decay = usual_decay if settings.weight_decay is None else settings.weight_decay
    fused = all(p.is_cpu and p.is_contiguous() for p in parameters) or None  # None leaves the choice to PyTorch
    return kind(parameters, lr=settings.learning_rate, fused=fused, weight_decay=decay)


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
