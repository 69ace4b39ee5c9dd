"""Where to compute."""

import torch

from charloom.errors import SettingsError


def find_device(name: str) -> torch.device:
    """The device of this name; for ``auto`` a GPU when there is one. Raises SettingsError where it cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros(1, device=name)
        probe.cpu()  # the meta device has nothing to give back
        return probe.device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise SettingsError(
            f"it cannot be used ({reason}); auto takes what there is", setting="device", value=name
        ) from None
