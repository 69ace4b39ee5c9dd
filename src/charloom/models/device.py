"""The device that a model runs on, by its name in the settings."""

import torch

from charloom.errors import SettingsError


def find_device(name: str) -> torch.device:
    """Returns the device of a name.

    Args:
        name: A name of PyTorch's, such as ``cuda:1``; ``auto`` for a GPU if there is one, else the CPU.

    Raises:
        SettingsError: The device is unknown or cannot be used on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        # torch.device accepts names of devices that are missing: only an allocation shows whether it can be used.
        probe = torch.zeros(1, device=name)
        probe.cpu()  # raises an error for the meta device, which holds no values
        return probe.device  # with its index, unlike torch.device("cuda")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # PyTorch's messages have several lines of advice for its developers.
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise SettingsError(
            f"it cannot be used ({reason}); auto selects an available device", setting="device", value=name
        ) from None
