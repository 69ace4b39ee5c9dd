"""PyTorch's global state during a training run: threads, precision, gradient mode, autocast, default device."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from charloom.models.language_model import LanguageModel
from charloom.recurrence.threads import use_threads
from charloom.settings.training import TrainingSettings


@contextmanager
def run_environment(model: LanguageModel, settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Sets threads and precision, enables gradients, and disables inference mode, autocast and the default device.

    At the end it restores the caller's values of all of them, and the global random states.
    """
    precision = model.precision
    on_cpu = torch.get_default_device().type == "cpu"
    with (
        use_threads(settings.threads),
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),  # the caller's would reuse weights cached in the first step
        nullcontext() if on_cpu else torch.device("cpu"),  # the caller's default device is not that of the run
    ):
        # Restored below, because the caller may use the model in another precision.
        model.precision = settings.precision
        try:
            yield
        finally:
            model.precision = precision
