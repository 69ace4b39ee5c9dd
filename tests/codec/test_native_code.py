"""The choice of native code by the environment."""

import pytest

from charloom import SettingsError
from charloom_codec.native_code import VARIABLE, choose

_SETS = ["scalar", "avx2", "avx512"]


@pytest.mark.parametrize(
    ("word", "supported", "chosen"),
    [
        ("auto", _SETS, "avx512"),
        ("auto", [], "pytorch"),
        ("scalar", _SETS, "scalar"),
        ("reference", [], "reference"),
        ("pytorch", _SETS, "pytorch"),
    ],
)
def test_values_of_the_environment(
    word: str, supported: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, word)
    assert choose(supported) == chosen
    monkeypatch.delenv(VARIABLE)
    assert choose(supported) == (supported[-1] if supported else "pytorch")


def test_another_modules_instruction_sets_are_tried_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "amx")
    assert choose(_SETS, {"amx": ("avx512vnni", "avx512", "avx2")}) == "avx512"
    assert choose([], {"amx": ("avx2", "reference")}) == "reference"


@pytest.mark.parametrize(
    ("word", "supported", "message"),
    [
        ("fastest", _SETS, "CHARLOOM_KERNELS=fastest: choose one of auto, reference, pytorch, scalar"),
        ("", _SETS, "CHARLOOM_KERNELS=: choose one of"),
        ("amx", _SETS, "CHARLOOM_KERNELS=amx: not available on this machine; choose one of scalar, avx2, avx512"),
        ("avx2", [], "not available: charloom was installed without native kernels"),
    ],
)
def test_invalid_choices(word: str, supported: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, word)
    with pytest.raises(SettingsError, match=message):
        choose(supported)
