"""Checks of a run's settings against the length of its text and the machine, before training.

The checks of a resumed run's settings are in ``checkpoints.resumption``.
"""

import os

from charloom.errors import SettingsError, pluralize
from charloom.models.device import find_device
from charloom.recurrence.backend import backend
from charloom.settings.training import TrainingSettings
from charloom.text.batching import check_length


def check_run(settings: TrainingSettings, length: int, device_name: str | None = None) -> None:
    """Raises SettingsError if the text is too short or a setting is not supported on this machine.

    Args:
        settings: Settings of the training loop.
        length: Number of tokens of the text, held-out part included.
        device_name: Device of this process; None for that of the settings.
    """
    check_length(
        compute_training_length(length, settings),
        settings.batch_size,
        settings.num_steps,
        settings.gradient_accumulation_steps,
    )
    # For its error only: a device that this machine lacks is reported before the first step.
    find_device(device_name or settings.device)
    cores, threads, precision = os.cpu_count() or 1, settings.threads, settings.precision
    # More threads than cores wait for each other at every barrier, which is slower than one thread.
    if threads is not None and threads > cores:
        raise SettingsError(
            f"it must be at most {cores}, the number of cores of this machine", setting="threads", value=threads
        )
    if precision != "float32" and backend().name == "reference":
        raise SettingsError("the reference backend supports float32 only", setting="precision", value=precision)


def compute_training_length(length: int, settings: TrainingSettings) -> int:
    """Returns the length of the training part; the rest of the text is the held-out part.

    The held-out part is empty if ``validation_fraction`` is 0. Raises SettingsError if it would otherwise have fewer
    than two tokens.
    """
    num_validation = int(length * settings.validation_fraction)
    # A single token has no successor, so nothing of it could be scored.
    if settings.validation_fraction and num_validation < 2:
        raise SettingsError(
            f"only {num_validation} of {pluralize(length, 'token')} would be held out, and at least 2 are needed",
            setting="validation_fraction",
            value=settings.validation_fraction,
            hint="increase it, set it to 0, or use more text",
        )
    return length - num_validation
