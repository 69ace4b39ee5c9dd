"""Devices by name, or a refusal in one line."""

import pytest
import torch

from charloom import SettingsError
from charloom.models.device import find_device


def test_auto_takes_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert find_device("auto") == torch.device(kind)
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["meta", "gpu", "cpu:x", ""])
def test_unusable_devices_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(SettingsError, match=r"it cannot be used \(.+\); auto selects an available device") as caught:
        find_device(name)
    assert str(caught.value).startswith(f"device is {name!r}: ")
    assert len(str(caught.value).splitlines()) == 1
